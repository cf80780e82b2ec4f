Server options can be set in a file (``--config rdv.toml``) or in the environment
(``RDV_SERVE_LOBBY_TIMEOUT=5m``); ``--check-config`` reports each mistake in one line. ``*:443`` is
a valid address to listen on.
