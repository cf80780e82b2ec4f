``rdv accept`` and ``dial``, ``twist rdv accept`` and ``dial``, and ``RendezvousEndpoint`` survive a
restart of the server while they wait, within their timeout, and ``rdv expose`` can be started
before its server. They obey ``Retry-After``, report ``TROUBLE`` and ``BACK``, and give up
immediately on permanent errors. There is a clear message if a second acceptor uses the same token.
