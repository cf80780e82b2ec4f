"""
One generation of a server after the other, without a moment in which nobody serves.

A new generation is a child of the old one: the same command line, run by a fresh interpreter, so
that it loads whatever code and configuration there is now. It inherits three things, and finds
their descriptors in a variable of its environment::

    listening sockets    it accepts from them at once when it serves, while the old one still does
    an inbox             where clients arrive that wait in the old one
    a pipe               where it says that it serves

Until it has said so nothing happens to the old generation, whatever happens to the new one: if it
ends, or takes too long, that is logged, and that was it. Once it has said so the old one accepts
nobody, sends those who wait to the inbox, as workers pass clients on, and lets its pairs end by
themselves, for ``--drain-replaced`` seconds at most. All workers of the new generation read the one
inbox, and whoever takes a client out takes it to the worker that owns it: so the two may have
different numbers of workers, or none. ::

    old     SIGUSR2, start the new one     accept nobody, hand over     pairs end      exit
    new                  read, listen, serve, say so     take them in, go on

What can go wrong:

* The new generation ends before it serves, or is not ready in a minute: the old one goes on.
* A client comes to the old one that had been connected before, and sends its request now, or is
  let in by the door now: it is handed over as well, for ten seconds.
* Somebody came to the new one with the same token and role before a client that waited arrives
  there: that one is the newer, and stays.
* A connection is more than a socket (TLS): the client gets a 503 with ``Retry-After: 0``. It comes
  again, to the new one. If it is one that several workers have bridged, the bridge stays in the old
  one, and its far end goes over.
* The new one ends when it had said that it serves, and before all clients have gone over: those get
  a 503. Nobody accepts then, as with any server that dies.
* The old one dies while the new one starts: that makes no difference to it.
* A signal to end, while the new one starts: both end. To the old one, later: its pairs have
  ``--drain`` seconds left.
* Two versions of the program are at work. What goes over is in ``passing.message``, which has room
  for more.
"""
