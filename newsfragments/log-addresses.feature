Servers only log the /24 or /48 of client addresses; ``--log-addresses full`` logs whole addresses,
and ``none`` logs none.
