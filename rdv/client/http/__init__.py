"""
The request to the server: an ``IAgent`` under treq that surfaces a 101.

Behind an HTTP proxy the endpoint is a tunnel: CONNECT on the connection to the proxy, from the
shared port as always, then the same request, under TLS for ``https``. What the server observes then
is the proxy, and nothing may be concluded from it: not that a NAT of ours changes ports, nor that
two peers who come from there are at one site, nor that the peer's next port can be guessed. The
peer cannot know: it dials the proxy's address in vain, and perhaps four guesses behind it.

What can go wrong with a proxy: it is unreachable or silent (``server_timeout``, for all steps up to
a TLS handshake); it refuses us (``ProxyRefused``) or cannot reach the server
(``ServerUnreachable``, as that may come right); it is none (``ProtocolError`` at the first byte
that is not HTTP). Who we are is said to the proxy alone: it is taken out of the headers for the
server, and is part of no text.
"""
