"""
The end-to-end channel, "secure 1", without I/O.

* :mod:`~rdv._secure.secret`: what the peers share, and the tokens and keys derived from it;
* :mod:`~rdv._secure.handshake`: the messages after HELLO and CONFIRM that give each path its keys;
* :mod:`~rdv._secure.records`: the encrypted stream after them;
* :mod:`~rdv._secure.primitives`: what both use from ``cryptography``;
* :mod:`~rdv._secure.path`: which records may follow which on one path;
* :mod:`~rdv._secure.stream`: which path carries which direction, if there are two.

:doc:`/protocol`, section 8, specifies every byte, with test vectors in ``rdv/test/secure``.
"""
