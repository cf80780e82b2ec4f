``Client(port_mapping=...)``: a hook that has a router map the port for the time of an attempt.
