``twist rdv`` and ``rdv serve`` answer health checks: ``GET /readyz`` tells a balancer whether the server takes clients in, and ``GET /healthz`` whether it works; ``--health-path`` moves them.
