``RendezvousResource(rendezvous, identify=...)`` identifies the user of a request, and a ``serve``
hook finds the user in ``pair.dialer.user`` and ``pair.acceptor.user``, along with users from bearer
tokens, signed tokens and ``--auth-url``.
