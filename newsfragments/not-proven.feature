With a secret, ``rdv dial`` and ``accept``, ``expose``, ``connect`` and the endpoints go on waiting for the peer when
somebody came who did not know the secret (``NotProven``); a single acceptor also comes back when its place was taken.
