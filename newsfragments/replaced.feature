``rdv expose`` and ``RendezvousServerEndpoint`` no longer end when another program accepts with the same token (409):
they say ``TROUBLE`` once and come back, after pauses that grow to half a minute.
