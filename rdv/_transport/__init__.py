"""
Transports that change hands: from HTTP to the protocol that follows, from one process to another,
and to a TLS or a secured stream that can end one direction. Both end a direction by a message in
the stream (``ending``), because TCP below them is never half-closed.

Twisted's TLS transport answers a close_notify by closing both directions and has no way to send one
alone. The relay over ``https`` needs both, so ``rdv._transport.tls.HalfCloseTLS`` takes over the
OpenSSL connection (``getHandle()`` is public) of a transport that has finished its HTTP part, on
the client and on the server. A TCP end without close_notify is a truncation and is reported as
``ConnectionLost``; after a close_notify it has no meaning. ``handover.hand_over`` descends through
any wrappers (timeouts above TLS, PROXY headers below it) and makes each pass on the half-close.

A secured stream is one transport over one connection, or over two while it moves. The application
sees ``secured.SecureTransport``. ``path_end`` is the protocol of each connection: it opens the
records and keeps those that must not be processed yet. ``paths`` has the connections and does what
:mod:`rdv._secure.stream` decides: on which path to write, from which to read, and when to close the
first because nothing on it is outstanding.
"""
