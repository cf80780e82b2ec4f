``--workers`` with ``unix:`` and ``systemd:`` ports. The socket file that a killed server has left is replaced.
