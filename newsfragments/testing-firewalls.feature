``rdv.testing.MemoryRendezvous.open_direct_paths()`` takes the firewalls away again, so that a test can
have a stream move.
