A worker that hangs is detected and replaced (``--worker-timeout``). A server exits with status 1 if
no worker is serving and none can be started.
