Streams that are encrypted and authenticated from end to end: use a :class:`rdv.Secret`, or its text, in the place of a
token (``Client``, endpoints and their descriptions). ``secure=True`` refuses plain tokens. Text that looks like a secret
is never sent as a token.
