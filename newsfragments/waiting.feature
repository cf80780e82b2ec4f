``rdv accept`` and ``rdv dial`` say ``WAITING`` when the server has let them in and the peer is not
there yet; with ``--json`` there are the events ``waiting``, ``trouble`` and ``back``.
