``rdv accept`` and ``dial``, ``twist rdv accept`` and ``dial``, and ``RendezvousEndpoint`` outlive a
restart of the server at which they wait, within their timeout, and ``rdv expose`` may be started
before its server is there. They obey ``Retry-After``, tell ``TROUBLE`` and ``BACK``, and give up at
once what cannot come right. A second acceptor with the same token is told of in plain words.
