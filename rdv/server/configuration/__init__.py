"""
The settings of a server, from the command line, the environment and a file.

The command line takes precedence over the environment, the environment over the file, and the file
over the default. Lists are not merged. The names are those of the flags:

==============  =======================================================
Command line    ``--lobby-timeout 5m --listen 8080 --listen 8081``
Environment     ``RDV_SERVE_LOBBY_TIMEOUT=5m RDV_SERVE_LISTEN=8080,8081``
File (TOML)     ``lobby-timeout = "5m"``, ``listen = [8080, 8081]``
==============  =======================================================

``reading`` makes one :class:`rdv.settings.ServerSettings` from them, and rejects unknown settings
and invalid values. ``checking`` checks what a value refers to: addresses, files.

Each mistake is reported in one line, which starts with its place: ``rdv.toml: drain: ...``.
"""
