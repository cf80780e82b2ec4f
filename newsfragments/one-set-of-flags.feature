``rdv serve`` and ``twist rdv`` have the same options by the same names (``--listen`` and ``--port`` are one). Times may have a unit: ``90s``, ``5m``, ``2h``, ``1d``.
