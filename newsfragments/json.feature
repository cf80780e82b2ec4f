``rdv dial --json`` and ``rdv accept --json`` report events, one JSON object per line, for scripts
and graphical programs.
