A server answers health checks: ``GET /readyz`` tells a load balancer whether it accepts new
clients, ``GET /healthz`` whether it works. ``--health-path`` moves them.
