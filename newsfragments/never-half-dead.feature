A direct connection that never carries a byte, or dies before its first one, is replaced by the
relay, and no written data is lost. The relay penalty ends early if no direct path is possible any
more.
