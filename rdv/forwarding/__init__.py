"""
Any program over a connection to a peer: what ``rdv expose`` and ``rdv connect`` do.

``rdv connect`` listens on a local port or socket, and dials the token for each connection; ``rdv
expose`` accepts under the token and connects each peer to the one target that it was told. A
``Forwarder`` does both, as the same thing happens: a connection comes, one endpoint is connected
to, and a ``Forward`` joins the two as the relay does. Neither is read before both stand, so
nothing is held. A local program that leaves meanwhile takes its dial with it (``hangup``), unless
it has left bytes that are to be delivered. A close of TCP is no more than a half-close, behind
which somebody may wait for an answer; so the kernel is asked whether a program still has the other
end (``tcp_info.has_owner``). Where it cannot tell, as that is on another host, keepalive finds out
within two minutes. Half-close goes through, and a loss as a reset. Both sockets linger 0 seconds,
until each has ended both ways and everything has left for the kernel: so a process that is killed
resets them, and what is complete is not cut. A Unix socket knows no reset.

With the first byte that passes when the choice of the path is final, in the next turn of the
reactor, the flows are replaced by spliced ones, between the local transport and the one below the
``Connection``. What a paused ``Connection`` held is delivered before that. TLS goes on copying.

What can go wrong: the target refuses, or no peer comes (that one connection is reset, and a line
says so); too many at once (likewise); the socket's file is there (replaced if nobody listens, else
an error; at the end it is removed if it is still ours); the token is exposed by somebody else (no
more are accepted, what stands goes on to its end, then status 1); a signal (everything is reset).
"""
