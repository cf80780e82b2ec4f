A server answers health checks: ``GET /readyz`` tells a balancer whether it takes new clients, ``GET /healthz`` whether it works. ``--health-path`` moves them.
