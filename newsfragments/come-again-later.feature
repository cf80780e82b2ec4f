Clients that a server asks to retry later (``Retry-After``, with a 429 or 503) wait up to a quarter
longer, so that they do not all come back at once. For a 429, ``rdv check`` says that there are too
many clients from the same address.
