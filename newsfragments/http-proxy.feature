The server can be reached through an HTTP proxy, which ``Client(proxy=...)``, ``--proxy`` or an endpoint's ``proxy=`` names, and which the commands
find in ``HTTPS_PROXY`` and ``HTTP_PROXY`` unless ``NO_PROXY`` names the server. Peers are dialled directly nevertheless. ``rdv check`` looks at the way through the proxy, and whether there is one without. A proxy that refuses raises ``ProxyRefused``.
