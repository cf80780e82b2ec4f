A rendezvous and relay server for any ``twisted.web`` site, a client with ``dial`` and ``accept``,
the ``twist rdv`` plugin and the ``rdv`` command, all speaking ``rdv/1``.
