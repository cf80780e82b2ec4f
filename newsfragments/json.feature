``rdv dial --json`` and ``rdv accept --json`` tell what happens as events, one JSON object a line, for scripts and graphical programs.
