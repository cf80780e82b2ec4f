An acceptor shows the token only to connections from addresses that the server named as the peer's, or from the same
site, as far as the server knows where its clients come from; and at most 16 connections from one address are kept.
