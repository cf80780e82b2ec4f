"""
Any program over a connection to a peer: the implementation of ``rdv expose`` and ``rdv connect``.

``rdv connect`` listens on a local port or socket, and dials the token for each connection; ``rdv
expose`` accepts under the token and connects each peer to its one configured target. Both use a
``Forwarder``, because they do the same thing: a connection arrives, the forwarder connects to one
endpoint, and a ``Forward`` joins the two as the relay does. Neither connection is read before both
are established, so no data is buffered. If a local program leaves in the meantime, its dial is
cancelled (``hangup``), unless it has left bytes to be delivered. A TCP close is indistinguishable
from a half-close, after which the program may be waiting for a response; the kernel is therefore
asked whether a program still has the other end open (``tcp_info.has_owner``). If the kernel cannot
tell, because the other end is on another host, keepalive detects it within two minutes. A
half-close is forwarded as such, and a loss as a reset. Both sockets have a linger time of 0
seconds, until each has ended in both directions and all data has been handed to the kernel: a
killed process therefore resets them, and a complete stream is not cut. A Unix socket has no reset.

In the next reactor turn after the first byte that passes once the choice of the path is final, the
flows are replaced by spliced ones, between the local transport and the one below the
``Connection``. Data held by a paused ``Connection`` is delivered before that. TLS still copies.

What can go wrong: the target refuses, or no peer arrives (that one connection is reset, and a line
reports it); too many connections at once (the same); the socket's file exists (it is replaced if no
process listens on it, otherwise an error; at the end it is removed if it is still ours); another
program exposes the token (no more peers are accepted, existing connections continue to their end,
then status 1); a signal (everything is reset).
"""
