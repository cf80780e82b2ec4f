``Client(port_mapping=...)`` is a hook that has a router map the port for the duration of an
attempt.
