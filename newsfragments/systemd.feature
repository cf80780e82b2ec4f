A server tells systemd when it serves, reloads and stops, its state, and that it is alive; ``contrib/systemd`` has units for it.
