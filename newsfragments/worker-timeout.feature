A worker that hangs is noticed and replaced (``--worker-timeout``). A server whose workers cannot be started ends with status 1, also when that happens later.
