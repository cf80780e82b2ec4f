Servers log only the /24 or /48 of clients' addresses; ``--log-addresses full`` shows whole ones, and ``none`` none.
