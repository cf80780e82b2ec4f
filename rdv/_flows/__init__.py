"""
Moves bytes between connections.

A ``Joint`` joins two connections: those of a relayed pair, of a forward, or of a bridge between
workers. It starts with two ``Flow`` objects, which copy: a transport reads, the flow writes to the
other transport, and Twisted's producers provide the back-pressure. That works for every kind of
transport, with taps, and on every system. It costs 64 KiB of Python bytes for each read, and for
each piece two reactor turns and a change of what the reactor watches.

When the first byte of the application has passed, and if both legs are plain TCP on Linux and
nothing inspects the stream, ``Splicer.take_over`` replaces them by ``SplicedFlow`` objects. Each
direction is handed over when two conditions hold: its source's transport will read nothing more (it
was paused one turn ago: an event of the same turn may still be delivered, and is copied), and its
sink's transport has written everything (it asked its pull producer for more). The directions do not
wait for each other: a receiver that does not read must not stop its own sending. For all other
code, the transports stay what they are: the end of a direction is reported with
``readConnectionLost``, a loss with ``connectionLost``, and closing goes through them.

From then on the two sockets are ``Descriptor`` objects in a ``Watcher``: a separate level-triggered
epoll that the reactor (epoll, poll, select, asyncio) sees as one readable descriptor. There, one
event costs one dictionary look-up instead of a dispatch through the reactor. While events follow
each other within half a millisecond, the watcher does not return to the reactor for each of them.
It waits for the next one itself, and gives the reactor its turn every millisecond, or sooner if the
reactor computes between two turns, because then other code has work too. When the stream of events
stops, the watcher has waited 4 milliseconds for nothing; while a relay is busy, other events of the
reactor can be delayed by that time.

A ``Splice`` moves one direction and chooses between two methods. *Buffer*, for messages: read into
one shared 64 KiB buffer and write from it. *Pipe*, for bulk data: a source that fills that buffer
is moved with ``splice`` to a pipe and ``splice`` from it, without a copy; after eight consecutive
pieces below 8 KiB, it counts as messages again. All flows that have data at the same time share 8
MiB per turn, so that none is starved. After 16 MiB of bulk data the socket is also *batched*: with
``SO_RCVLOWAT`` it is readable only when half a MiB has arrived, which saves most of the wake-ups,
the larger part of the cost. The kernel still reports an end or an error, but not that the bytes
present are the last ones for now. Every 4 milliseconds, therefore, the sockets without an event
since the last sweep are swept. A socket that has received nothing more in that time is no longer
batched, because its sender may be waiting for a response; it is batched again only after twice as
much data. The source is read only while nothing is held for the sink, so the order cannot be lost,
and only one piece is held for a stalled reader: the unwritten part of a buffer, or at most one MiB
in a pipe. Pipes come from a stock and are returned as soon as they are empty, so idle pairs hold
none. If no pipe is available (their number is bounded, and descriptors may have run out), the piece
is copied. An end that does not support ``splice`` (``EINVAL``), such as a file opened for append,
is copied from then on, after the data that is already in the pipe. A splice of zero bytes does not
prove an end, because an urgent byte stops it too: a read then decides.

What can go wrong: a leg is reset while its pipe is full (the pipe is discarded, both legs are
notified); a leg resets after it has been read to its end (its descriptor stays watched for errors);
both directions of a socket have ended but bytes are unread because the other leg stalls (a hang-up
that epoll would report forever: the socket is not watched until the other leg has room); a handler
fails (this is logged, its pair ends with a reset of both legs, and the others continue); there is
no descriptor for the epoll (copying continues); a socket is closed while the reactor handles
events, and the next connection gets its number and an event that was meant for the old one (the
number is therefore kept for that turn).

A limit (``rate``) pauses the source after each piece for as long as the piece was too early, in
both kinds of flow. Pieces are as small as the rate requires; while they are as large as the buffer,
a limited flow uses the same methods as any other. A rate that many flows share (``sharing``) first
serves the flows that have moved least.
"""
