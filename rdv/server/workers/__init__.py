"""
Several processes that serve as one.

One process uses one core. With ``--workers N`` there is a parent and N workers, each a server as
above but for two things: they share the listening sockets, and a client that came to the wrong one
is passed on. ::

              accept           the owner's inbox           match, relay
    client  --------> worker 0  ============>  worker 2  <========>
                      (HTTP)     descriptor    (Leg)

The parent (``parent``) opens the ports and accepts nothing. Its ``crew`` makes an inbox for each
worker, a pair of ``SOCK_SEQPACKET`` sockets, and starts the workers, each of which inherits the
listening sockets, the receiving end of its own inbox, and the sending ends of all others. The
parent keeps all of them open itself. So neither a client in the accept queue nor one in an inbox is
lost with a worker, and a worker that is started again finds everything as it was: no link is made
anew.

The token decides: a checksum of it modulo N is its *owner*, the same in every process
(``assignment``). Whichever worker is free accepts, reads the request, refuses it if there is
something to refuse, and makes the ``Leg``. When it is the owner the leg enters its rendezvous.
When not, ``migrate`` takes the socket out of the transport, and ``passing`` sends it to the
owner's inbox with what the leg knows: role, token, addresses. There it becomes a transport and a
leg again. To the kernel it is the same connection all along: what comes meanwhile waits in its
buffer, and its round trip is still known.

``migrate`` is the delicate part. A transport of Twisted that loses its connection shuts it down,
for everybody who has a descriptor of it. So it is taken out of the reactor, its socket is closed,
which leaves the connection alone, and it is forgotten. Before that its write buffer has to be
empty: an answer to an earlier request on the same connection may still be in it.

Three kinds of connections cannot be passed, since they are more than a socket: TLS, a wrapper that
nobody knows, and one whose reader stalls so that its buffer does not get empty. They stay where
they are. A ``bridge`` joins them to one end of a TCP connection on loopback, by two flows as a
relay has them, and the other end is passed on. It is TCP and no pair of Unix sockets because there
a reset could not be told from an end. A PROXY header's wrapper is not one of these kinds: behind
the header it has nothing of its own.

Endpoint strings are understood by the endpoints themselves, in the parent as in the workers.
``generations.listeners`` stands in for the reactor there: its ``listenTCP`` and the like open a
port that is not watched, or adopt one that was opened. What listens in another way is refused at
once. Sockets that systemd has passed keep their numbers, as that is how endpoints find them.

Workers get commands from the parent by a pipe, and no signals: a terminal, or systemd, signals the
whole group, and the second signal would cut what the first one wants drained. What they log goes
to the parent as lines of JSON, and from there wherever its own log goes, in whole lines.

What can go wrong:

* A worker dies: its waiting clients and its pairs are gone, the pairs by a reset. The others do
  not notice. It is started again, once a second at most.
* One hangs, in a hook that loops, say: the parent asks each now and then, by the pipe of commands,
  and its reactor answers by that of reports. Who does not is killed. Questions are counted, and not
  seconds: a parent that was stopped for a while, too, does not take its workers for dead.
* One dies before all of them have served for the first time: the parent says why, and ends. Later
  it does so when none serves and each has failed to start twice in a row. While one serves the
  others are tried for ever, down to once a minute: its clients are worth more than a clean end.
* The parent dies: the pipe ends. The workers do as if they were told to stop, so that another
  parent can have the ports.
* A client is in the queue of a port at the end: the parent closes it first, and each worker accepts
  whoever is there and then closes it. So the last one leaves nobody behind.
* An inbox is full, because its owner is dead or busy: clients wait at the sender, 1024 at most and
  ten seconds at most; the others get 503. So do those whom the kernel does not let through (too
  many descriptors in messages on this host).
* The owner cannot have another descriptor: it tells the client so with the last one that it has;
  if there is none at all the client is lost, and logged.
* A client leaves on the way: the owner sees an end or a reset when it takes it out.
* A message is not one of ours: it is dropped with its descriptor, and logged.
* At the end, a client is in the inbox of a worker that has ended: the parent answers it with 503.
* A worker does not end when it should: it is killed ten seconds after the drain time.
* The far end of a bridge is closed both ways while the client stays: TCP says no more than of a
  half-close. Keepalive finds out within two minutes and ends the bridge.

Each connection wakes every worker that has nothing to do, and all but one find nothing. That costs
idle time only: workers that have something to do are not woken. ``SO_REUSEPORT`` would avoid it, at
the price that the queue of a dead worker waits for it, and that a second server would not notice
that the port is taken.
"""
