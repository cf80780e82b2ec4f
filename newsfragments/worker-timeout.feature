A worker that hangs is noticed and replaced (``--worker-timeout``). A server ends with status 1 when no worker serves and none can be started.
