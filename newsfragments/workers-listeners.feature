``--workers`` takes ``unix:`` and ``systemd:`` ports. A socket file that a killed server has left behind is replaced.
