"""
The settings of a server, from wherever an operator has written them.

What holds is what stands on the command line; if it is not there, in the environment; then in the
file; then the default. A list is taken whole from one of them. The names are those of the flags:

==============  =======================================================
Command line    ``--lobby-timeout 5m --listen 8080 --listen 8081``
Environment     ``RDV_SERVE_LOBBY_TIMEOUT=5m RDV_SERVE_LISTEN=8080,8081``
File (TOML)     ``lobby-timeout = "5m"``, ``listen = [8080, 8081]``
==============  =======================================================

``reading`` makes one :class:`rdv.settings.ServerSettings` of them and refuses what is no setting,
or no value of one. ``checking`` looks at what a value names: addresses, files.

What is wrong is told in one line each, which begins with where it stands: ``rdv.toml: drain: ...``.
"""
