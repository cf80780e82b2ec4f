Streams can be encrypted and authenticated end to end: use a :class:`rdv.Secret`, or its text,
instead of a token (``Client``, endpoints and their descriptions). ``secure=True`` rejects plain
tokens. Text that looks like a secret is never sent as a token.
