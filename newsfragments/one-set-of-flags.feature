``rdv serve`` and ``twist rdv`` have the same options (``--listen`` and ``--port`` are the same).
Times may have a unit: ``90s``, ``5m``, ``2h``, ``1d``.
