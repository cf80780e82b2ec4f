An acceptor discloses the token only to connections from addresses that the server named as the
peer's, or from the same site, if the server knows its clients' addresses; it keeps at most 16
connections from one address.
