``twist rdv`` and ``rdv serve`` have ``--admin``, a port for the operator with metrics for Prometheus, the same as JSON, and a page; ``contrib`` has alert rules and a Grafana dashboard.
