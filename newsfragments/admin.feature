``--admin`` opens a port for the server's operator, with metrics for Prometheus, the same data as
JSON, and a status page; ``contrib`` has alert rules and a Grafana dashboard.
