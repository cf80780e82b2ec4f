"""
Several processes that act as one server.

One process uses one core. With ``--workers N``, there is a parent and N workers. Each worker is a
complete server with two differences: they share the listening sockets, and a client that reached
the wrong worker is passed on. ::

              accept           the owner's inbox           match, relay
    client  --------> worker 0  ============>  worker 2  <========>
                      (HTTP)     descriptor    (Leg)

The parent (``parent``) opens the ports and accepts nothing. Its ``crew`` makes an inbox for each
worker, a pair of ``SOCK_SEQPACKET`` sockets, and starts the workers, each of which inherits the
listening sockets, the receiving end of its own inbox, and the sending ends of all others. The
parent keeps all of them open itself. Neither a client in the accept queue nor one in an inbox is
therefore lost with a worker, and a restarted worker finds everything as it was: no links are
recreated.

The token decides: a checksum of it modulo N is its *owner*, the same in every process
(``assignment``). Whichever worker is free accepts, reads the request, refuses it if necessary, and
makes the ``Leg``. If it is the owner, the leg enters its rendezvous. If not, ``migrate`` takes the
socket out of the transport, and ``passing`` sends it to the owner's inbox along with the leg's
data: role, token, addresses. There it becomes a transport and a leg again. For the kernel, it is
the same connection all along: data that arrives in the meantime waits in its buffer, and its
round-trip time is still known.

``migrate`` is the delicate part. A Twisted transport that loses its connection shuts it down, for
everyone who has a descriptor of it. It is therefore removed from the reactor, its socket is closed,
which does not affect the connection, and it is forgotten. Before that, its write buffer must be
empty: a response to an earlier request on the same connection may still be in it.

Three kinds of connections cannot be passed on, because they are more than a socket: TLS, an unknown
wrapper, and one whose reader stalls so that its buffer does not drain. They stay where they are. A
``bridge`` joins them to one end of a TCP connection on loopback, with two flows like those of a
relay, and the other end is passed on. It is TCP instead of a pair of Unix sockets because there a
reset could not be distinguished from an end. A PROXY header's wrapper is not one of these kinds:
after the header, it has no state of its own.

Endpoint strings are parsed by the endpoints themselves, in the parent as in the workers.
``generations.listeners`` replaces the reactor there: its ``listenTCP`` and similar methods open a
port that is not watched, or adopt one that was already opened. Anything that listens in another way
is refused immediately. Sockets passed by systemd keep their numbers, because that is how endpoints
find them.

Workers get commands from the parent through a pipe, not signals: a terminal, or systemd, signals
the whole group, and the second signal would cut what the first one wants to drain. Their log goes
to the parent as lines of JSON, and from there to the parent's own log, in whole lines.

What can go wrong:

* A worker dies: its waiting clients and its pairs are lost, the pairs by a reset. The others are
  not affected. It is restarted, at most once a second.
* A worker hangs, for example in a hook that loops: the parent asks each worker regularly, through
  the command pipe, and its reactor answers through the report pipe. A worker that does not answer
  is killed. The parent counts questions instead of seconds: if the parent itself was stopped for a
  while, it does not mistake its workers for dead.
* A worker dies before all of them have served for the first time: the parent says why, and exits.
  Later, it does so if none is serving and each has failed to start twice in a row. While one is
  serving, the others are retried forever, with pauses of up to a minute: its clients are worth more
  than a clean exit.
* The parent dies: the pipe ends. The workers act as if they had been told to stop, so that another
  parent can have the ports.
* A client is in the queue of a port at the end: the parent closes the port first, and each worker
  accepts the queued clients and then closes it, so the last one leaves an empty queue.
* An inbox is full, because its owner is dead or busy: clients wait at the sender, at most 1024 and
  for at most ten seconds; the others get 503. So do those that the kernel does not accept (too many
  descriptors in messages on this host).
* The owner has no descriptor left: it tells the client so with its last one; if there is none at
  all, the client is lost, and this is logged.
* A client leaves on the way: the owner sees an end or a reset when it takes the client out.
* A foreign message: it is dropped with its descriptor, and logged.
* At the end, a client is in the inbox of a worker that has ended: the parent answers it with 503.
* A worker does not stop when it should: it is killed ten seconds after the drain time.
* The far end of a bridge is closed in both directions while the client stays: TCP cannot
  distinguish this from a half-close. Keepalive detects it within two minutes and ends the bridge.

Each connection wakes every idle worker, and all but one find nothing. That only costs idle time:
busy workers are not woken. ``SO_REUSEPORT`` would avoid it, but then the queue of a dead worker
would wait for it, and a second server would not notice that the port is in use.
"""
