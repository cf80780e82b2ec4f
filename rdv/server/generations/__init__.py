"""
Replacing a server with a new generation, without downtime.

A new generation is a child of the old one: the same command line, run by a fresh interpreter, so
that it loads the current code and configuration. It inherits three things, and finds their
descriptors in an environment variable::

    listening sockets    it accepts from them as soon as it serves, while the old one still does
    an inbox             where clients that wait in the old one arrive
    a pipe               on which it reports that it is serving

Until it has reported that, the old generation is not affected, whatever happens to the new one: if
it ends, or takes too long, this is logged, and nothing else happens. After that, the old one stops
accepting, sends its waiting clients to the inbox, in the same way as workers pass on clients, and
lets its pairs end by themselves, for at most ``--drain-replaced`` seconds. All workers of the new
generation read the one inbox, and each passes a client on to the worker that owns it: the two
generations may therefore have different numbers of workers, or none. ::

    old     SIGUSR2, start the new one     accept nobody, hand over     pairs end      exit
    new                  read, listen, serve, say so     take them in, go on

What can go wrong:

* The new generation ends before it serves, or is not ready within a minute: the old one continues.
* A client that had connected to the old one before sends its request now, or is admitted by the
  door now: it is handed over as well, for ten seconds.
* A client with the same token and role arrived at the new one before a waiting client is handed
  over: the one that arrived there is the newer one, and stays.
* A connection is more than a socket (TLS): the client gets a 503 with ``Retry-After: 0``, and
  reconnects to the new generation. If the connection is bridged between workers, the bridge stays
  in the old one, and its far end is handed over.
* The new one ends after it has reported that it is serving, and before all clients have been handed
  over: those get a 503. Nobody accepts then, as with any server that dies.
* The old one dies while the new one starts: the new one is not affected.
* A signal to stop arrives while the new one starts: both end. If it reaches the old one later, its
  pairs have ``--drain`` seconds left.
* Two versions of the program are running. ``passing.message`` defines what is handed over, and has
  room for more.
"""
