"""
Transports that change hands: from HTTP to the protocol that follows, from one process to another,
and to a TLS or a secured stream that can end one direction. That both do by a message in the stream
(``ending``), since TCP below them is never half-closed.

Twisted's TLS transport answers a close_notify by closing both directions and has no way to send one
alone. The relay over ``https`` needs both, so ``rdv._transport.tls.HalfCloseTLS`` takes over the
OpenSSL connection (``getHandle()`` is public) of a transport that has finished its HTTP part, on
the client and on the server. A TCP end without close_notify is a truncation and is reported as
``ConnectionLost``; behind a close_notify it says nothing. ``handover.hand_over`` works down through
any wrappers (timeouts above TLS, PROXY headers below it) and teaches each to pass the half-close
on.

A secured stream is one transport over one connection, or over two while it moves.
``secured.SecureTransport`` is what the application sees; ``path_end`` is the protocol of each
connection, which opens its records and keeps what may not be looked at yet; ``paths`` has the
connections, and does what :mod:`rdv._secure.stream` says: writes on which, reads from which, closes
the first when nothing on it is owed any more.
"""
