A ``serve`` hook can set ``Pair.rate_limit``, in bytes per second in each direction.
