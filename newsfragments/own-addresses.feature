A client reports the addresses that are most likely to be reachable first, because it can only
report nine; it omits those of interfaces that cannot reach anyone, such as the bridges of stopped
containers.
