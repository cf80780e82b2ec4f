Servers log the /24 or /48 of clients' addresses only; ``--log-addresses full`` shows all of it, and
``none`` nothing.
