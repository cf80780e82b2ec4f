"""
The end-to-end channel, "secure 1", without I/O.

* :mod:`~rdv._secure.secret`: what the peers share, and the tokens and keys that come of it;
* :mod:`~rdv._secure.handshake`: the messages behind HELLO and CONFIRM that give each path its keys;
* :mod:`~rdv._secure.records`: the encrypted stream behind them.

:doc:`/protocol` has every byte of it, section 5, with test vectors in ``rdv/test/secure``.
"""
