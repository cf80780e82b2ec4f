A server tells systemd when it serves, reloads and stops, how it is, and that it is alive; ``contrib/systemd`` has units for it.
