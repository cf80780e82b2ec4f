"""
The end-to-end channel, "secure 1", without I/O.

* :mod:`~rdv._secure.secret`: what the peers share, and the tokens and keys that come of it;
* :mod:`~rdv._secure.handshake`: the messages behind HELLO and CONFIRM that give each path its keys;
* :mod:`~rdv._secure.records`: the encrypted stream behind them;
* :mod:`~rdv._secure.primitives`: what both take from ``cryptography``;
* :mod:`~rdv._secure.path`: which records may follow which on one path;
* :mod:`~rdv._secure.stream`: which path carries which direction, when there are two.

:doc:`/protocol` has every byte of it, section 8, with test vectors in ``rdv/test/secure``.
"""
