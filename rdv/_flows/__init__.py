"""
Bytes from here to there.

A ``Joint`` makes two connections one: those of a relayed pair, of a forward, or of a bridge between
workers. It starts with two ``Flow`` objects, which copy: a transport reads, the flow writes to the
other transport, and Twisted's producers do the back-pressure. That works for every kind of
transport, with taps, and on every system; it costs 64 KiB of Python bytes for each read, two turns
of the reactor, and a change of what the reactor watches for each piece.

With the first byte of the application, and if both legs are plain TCP on Linux and nobody looks
into the stream, ``Splicer.take_over`` puts ``SplicedFlow`` objects in their place. Each direction
is handed over when two things are certain: its source's transport will read nothing more (it was
paused a turn ago: an event of the same turn may still be delivered, and is copied), and its sink's
transport has written everything (it asked its pull producer for more). The directions do not wait
for each other: a receiver that does not read must not stop what it sends. The transports stay what
they are to everybody else: the end of a direction is reported with ``readConnectionLost``, a loss
with ``connectionLost``, and closing goes through them.

From then on the two sockets are ``Descriptor`` objects in a ``Watcher``: an epoll of our own, level
triggered, that the reactor (epoll, poll, select, asyncio) sees as one readable descriptor. One
event costs one dictionary look-up there instead of a dispatch through the reactor. While events
go on following each other within half a millisecond the watcher does not go back to the reactor for
each of them, but waits for the next one itself, and gives the reactor its turn every millisecond;
unless the reactor computes between two turns, so that others have work too: then each is short.
When the stream of events breaks off it has waited 4 milliseconds in vain: so much later can other
events of the reactor be handled, while a relay is busy.

A ``Splice`` moves one direction and chooses between two ways. *Buffer*: read into one shared 64 KiB
buffer and write from it, for messages. *Pipe*: who fills that buffer is bulk, and goes ``splice``
to a pipe and ``splice`` on, without a copy; eight pieces in a row below 8 KiB and it is messages
again. Those that have something at the same time share 8 MiB a turn, so that nobody goes short.
After 16 MiB in bulk the socket is *batched* too: with ``SO_RCVLOWAT`` it is readable only when half
a MiB has come, which saves most of the wake-ups, the larger part of the cost. The kernel tells of
an end and of an error all the same, but not of bytes that are the last ones for now; so every 4
milliseconds those are swept up that had no event since the last sweep, and one to whom nothing more
has come in that time, as its sender waits perhaps for an answer, is batched no longer, and the next
time only after twice as much. The source is read only while nothing is held for the sink, so order
cannot be lost, and what is held for a stalled reader is one piece: the unwritten part of a buffer,
or at most one MiB in a pipe. Pipes come from a stock and go back as soon as they are empty, so idle
pairs hold none. When there is none (their number is bounded, and descriptors may have run out), the
piece is copied. What an end has no ``splice`` for (``EINVAL``), as a file that is appended to, is
copied from then on; what is in the pipe by then comes first. A splice of nothing is no end, since
an urgent byte stops it, too: then reading tells.

What can go wrong: a leg is reset while its pipe is full (the pipe is thrown away, both legs are
told); one has been read to its end and then resets (its descriptor stays watched for errors); both
directions of a socket have ended but bytes are unread because the other leg stalls (a hang-up that
epoll would report for ever: it is not watched until the other leg has room); a handler fails (it is
logged, its pair ends with a reset of both legs, and the others go on); no descriptor for the epoll
(copying goes on); a socket is closed in the middle of the reactor's events, and the next connection
gets its number and an event that was meant for it (so the number is kept for that turn).

A limit (``rate``) pauses the source after each piece for as long as the piece was too early, in
both kinds of flow. Pieces are as small as the rate wants them, and with those that are as large as
the buffer a limited flow takes the same ways as any other. A rate that many flows share
(``sharing``) lets those go on first that have had least.
"""
