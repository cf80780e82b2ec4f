``rdv accept`` and ``rdv dial`` print ``WAITING`` when the server has admitted them and the peer is
not there yet; with ``--json``, they report the events ``waiting``, ``trouble`` and ``back``.
