``rdv.testing.MemoryRendezvous.open_direct_paths()`` removes the firewalls again, so that a test can
make a stream move.
