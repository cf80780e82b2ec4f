``rdv.testing.MemoryRendezvous`` provides a server and clients in memory, for tests of programs that
use rdv: no sockets, no waiting, the real code.
