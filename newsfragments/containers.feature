``contrib`` has a Dockerfile, a Compose file, a Kubernetes manifest and a logrotate configuration.
