The server can be reached through an HTTP proxy, named by ``Client(proxy=...)``, ``--proxy`` or an
endpoint's ``proxy=``; the commands also use ``HTTPS_PROXY`` and ``HTTP_PROXY`` unless ``NO_PROXY``
names the server. Peers are still dialled directly. ``rdv check`` tests the path through the proxy,
and whether the server can be reached without it. If a proxy refuses, ``ProxyRefused`` is raised.
