``rdv connect`` prints ``TROUBLE`` when local connections wait because the server is away, or
because a client without the secret answered, and ``BACK`` when that is over. ``RendezvousEndpoint``
has a ``trouble`` callback for this.
