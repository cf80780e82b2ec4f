"""
Joins the standard descriptors of a command with a connection.

``rdv`` parses its arguments with argparse before anything of Twisted is imported. Before anything
else, a stdin that is closed or write-only is replaced by an empty one. stdin is read by the method
for its type (a regular file by a pull producer, a pipe or socket by the reactor); the same applies
to stdout. A terminal is shared with other processes: it is read from a separate descriptor that
does not block, and only while this process is in the foreground. From the first key that is typed
in the background, the process checks twice a second whether it still is. While a stream is open,
the socket has a linger time of 0 seconds: a killed process resets the connection, so that the peer
sees a broken stream and not a short file. Twisted does not shut down such a socket before it closes
it, because that would be an end (``sockets.linger``).

*If the input ends without a byte, its end is held back* (``own_end``) until the peer has ended and
the sink has everything. Relays and peers that close both directions at the first end then cut
nothing off, and the end is a receipt for the sender, whose own end is complete. If the sink fails,
the connection is reset instead. A peer that is silent for long may be waiting for the end, and gets
it. Forwards and endpoints pass on each end immediately. A reset after the peer's end is no loss if
this side has sent nothing. If the reader of stdout leaves while nothing is unwritten, the peer's
end must arrive within five seconds: the reader has then had everything. Data or silence breaks the
stream.

``Piping`` starts every stream that way, through the ``Connection``. In the next reactor turn after
the first byte that passes once the choice of the path is final, it looks for a ``Shortcut``: on
Linux, and if the transport is only a socket, each direction bypasses the transport separately. A
terminal continues as before, and so does any device that is read.

*Upload.* The source stops reading; it holds no data itself. When the transport has written
everything (``Flush``), a pipe or socket is spliced to the connection's socket. A file is sent with
``sendfile``, which costs half as much as ``splice`` through a pipe, and is driven only by the room
in the socket, because epoll does not accept files. ``sendfile`` advances the descriptor's own
position, so a process that shares it continues after the sent part. When it moves nothing, or fails
while the connection is up, the source is started again and continues to copy: it detects the end,
reports the error, and reads files that can only be read.

*Download.* The transport is paused, and the sink writes what it has. One turn later no data can
arrive from the transport any more, and the socket is spliced to stdout. For a file or a device,
``AlwaysWritable`` replaces the epoll: unwritten data is tried again in the next turn. The transport
reports the peer's end as always, with the same effects: the sink closes the pipe for its reader,
and restores its blocking mode.

Code that only inspects a socket, to see whether the peer is there or how much it has acknowledged,
uses ``tcp_info`` and never ``SO_ERROR``: reading that removes a pending reset, so that the reader
would find an end instead, and it reports ICMP errors that TCP survives.

If stdin is a pipe, it is enlarged to 256 KiB, which halves the work. If stdout is a pipe, it is
enlarged only after it was full several times and its reader continued. Nobody is notified of unread
data in a pipe when this process ends, so with a reader that never began it must not be more than
usual.

What can go wrong: the reader of stdout has gone (detected even in silence, after five seconds: its
end of the pipe is watched); the disk is full in the middle of a piece (the error that copying would
give); the connection is reset (the first to see the error, ``sendfile``, ``splice`` or the
transport, ends the whole stream immediately, because all others would find an end instead); a file
is written to while it is sent (the peer gets some mixture, as with any reader, but sent data may
still change until the peer's system has it); a file shrinks (it ends there; if it is then shorter
than what was read of it, the stream breaks).

**Reporting.** A command reports events through a ``Console``: each event has a name, a line for a
human, and fields for a program. ``--quiet`` only leaves the failures, ``--json`` writes each event
as one JSON object per line. All of it goes to stderr, because stdout belongs to the stream.
Commands that serve several connections at a time skip lines for which an unread pipe has no room;
so does the log of a server.

**Progress.** The code that moves bytes does not know about the display: a ``Meter`` reads the two
counters of ``Piping`` by a timer, and shows them with a ``Display``: the events of ``--json``, or a
bar. Sent data counts when the other side's system has acknowledged it; otherwise a megabyte in the
kernel's buffer would look like progress. Without a display there is no meter, and its modules are
not loaded. The ``Console`` owns the line of the bar, so any other message replaces it.

What can go wrong: tqdm is not installed (no bar; ``-v`` says so); the terminal is stopped by ^S, or
belongs to other processes (nothing is drawn, because drawing would stop the transfer); a person
talks there after all (the bar disappears for good, before the peer's text appears); the file grows,
shrinks, or was already read to some position (its size is looked up each time, from where this
process began); the display fails (logged; the stream continues); the terminal is that of ssh, which
runs this process between two pipes (no bar).
"""
