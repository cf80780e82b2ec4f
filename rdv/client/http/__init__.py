"""
The request to the server: an ``IAgent`` under treq that returns a 101 response.

With an HTTP proxy, the endpoint is a tunnel: CONNECT on the connection to the proxy, from the
shared port as always, then the same request, under TLS for ``https``. The server then observes the
proxy's address, which proves nothing about this host: not that our NAT changes ports, not that two
peers with that address are at one site, and not that the peer's next port can be guessed. The peer
cannot know this: it dials the proxy's address without success, and perhaps four guessed ports after
it.

What can go wrong with a proxy: it is unreachable or silent (``server_timeout``, for all steps up to
and including a TLS handshake); it refuses us (``ProxyRefused``) or cannot reach the server
(``ServerUnreachable``, because that may be temporary); it is not a proxy (``ProtocolError`` at the
first byte that is not HTTP). The credentials for the proxy are only sent to the proxy: they are
removed from the headers for the server, and no text contains them.
"""
