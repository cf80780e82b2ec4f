"""
The standard descriptors of a command, joined with a connection.

``rdv`` parses its arguments with argparse before anything of Twisted is imported. A stdin that is
closed or write-only is replaced by an empty one before all else. stdin is read by the means that
fits it (a regular file by a pull producer, a pipe or socket by the reactor), stdout likewise. A
terminal belongs to others as well: it is read from a descriptor of our own that does not block, and
only while we are in the foreground; in the background we look twice a second whether we still are,
from the first key that is typed there. While a stream is open the socket lingers 0 seconds: a
process that is killed resets the connection, so that the peer sees a broken stream and not a short
file. Nor does Twisted shut it down then before it closes it, as that would be an end
(``sockets.linger``).

*Whose input ends without a byte holds its end back* (``own_end``) until the peer has ended and the
sink has everything: what closes both directions at the first end cuts nothing off, and the end is a
receipt for a sender, whose own is complete. When the sink fails the connection is reset instead. A
peer that is silent for long may be waiting for the end, and gets it. Forwards and endpoints pass
each end on as it comes. A reset behind the peer's end is no loss to one who has said nothing. When
the reader of stdout leaves while nothing is unwritten, the peer's end has five seconds to come:
then the reader has had everything; a byte or silence breaks the stream.

``Piping`` starts every stream like that, through the ``Connection``. With the first byte that
passes when the choice of the path is final, in the next turn of the reactor, it looks for a
``Shortcut``: on Linux, and when the transport is nothing but a socket, each direction goes past it
for itself. A terminal goes on as before, and so does any device that is read.

*Upload.* The source stops reading; it holds nothing itself. When the transport has written all that
it had (``Flush``), a pipe or socket is spliced to the connection's socket. A file goes with
``sendfile``, which costs half of what ``splice`` by way of a pipe does, and is driven by the
socket's room alone, as an epoll does not take files. ``sendfile`` advances the descriptor's own
position, so who shares it goes on behind what was sent. When it moves nothing, or fails while the
connection stands, the source is started again and copies on: it is the one that finds the end, or
tells what is wrong, and reads what can only be read.

*Download.* The transport is paused, and the sink writes what it has; a turn later nothing of the
transport's can come any more, and the socket is spliced to stdout. For a file or a device
``AlwaysWritable`` takes the place of the epoll: what was not written is tried again in the next
turn. The end of the peer is reported by the transport as always, so what follows from it is the
same: the sink closes the pipe for its reader, and restores whether it blocks.

What only looks at a socket, to see whether the peer is there or how much it has acknowledged, asks
``tcp_info`` and never for ``SO_ERROR``: that takes a reset away from the reader, who would find an
end instead, and tells of ICMP errors that TCP survives.

If stdin is a pipe it is made larger, 256 KiB, which halves the work; if stdout is one, only after
it was full several times and its reader went on. Nobody is told of what lies unread in a pipe when
we end, so with a reader that never began it shall not be more than usual.

What can go wrong: the reader of stdout has gone (noticed in silence, too, after those seconds: its
end of the pipe is watched); no room on the disk, in the middle of a piece (the error that copying
would give); the connection is reset (whoever sees the error first, ``sendfile``, ``splice`` or the
transport, ends the whole stream at once, since all others would find an end instead); a file is
written to while it is sent (the peer gets some mixture, as with any reader, but what has been sent
may still change until the peer's system has it); a file shrinks (it ends there).

**Telling.** A command tells what happens through a ``Console``: each event has a name, a line for a
person, and fields for a program. ``--quiet`` leaves the failures, ``--json`` makes each event one
JSON object a line. It all goes to stderr, since stdout belongs to the stream. Commands that serve
several at a time skip what there is no room for, in a pipe that nobody reads; so does the log of a
server.

**Progress.** Nothing that moves bytes knows that somebody looks: a ``Meter`` reads the two counters
of ``Piping`` by a timer, and shows them by a ``Display``, which is the events of ``--json`` or a
bar. What is sent counts when the other side's system has acknowledged it, or a megabyte in the
kernel's buffer would pass for progress. Without a display there is no meter, and its modules are
not loaded. The ``Console`` owns the line of the bar, so whatever else is told comes in its place.

What can go wrong: the library is not installed (no bar; ``-v`` says so); the terminal is stopped by
^S, or other processes have it (nothing is drawn; drawing would stop the transfer); somebody talks
there after all (the bar goes for good, before the peer's text appears); the file grows, shrinks, or
was read up to somewhere (its size is looked up each time, from where we began); the display fails
(logged; the stream goes on); the terminal is that of ssh, which has us between two pipes (no bar).
"""
