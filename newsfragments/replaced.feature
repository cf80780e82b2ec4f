``rdv expose`` and ``RendezvousServerEndpoint`` no longer end when another program accepts with the
same token (409): they report ``TROUBLE`` once and come back, with pauses that grow to half a
minute.
