``--workers`` supports ``unix:`` and ``systemd:`` ports. A socket file left behind by a killed
server is replaced.
