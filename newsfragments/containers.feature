``contrib`` has a Dockerfile, a Compose file, a Kubernetes manifest and a configuration of logrotate.
