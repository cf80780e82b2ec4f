SIGUSR2, or ``rdv serve --replace PID_FILE``, upgrades a running server without downtime: a new
generation of processes, with new code and settings, takes over its ports and its waiting clients,
while the old one finishes its relayed connections. If the new generation does not start, the old
one continues. ``--pid-file`` writes the process ID.
