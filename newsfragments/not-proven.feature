With a secret, ``rdv dial`` and ``accept``, ``expose``, ``connect`` and the endpoints keep waiting
for the peer if a client without the secret took its place (``NotProven``); a single acceptor also
comes back when it was replaced.
