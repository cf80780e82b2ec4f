A ``serve`` hook can set ``Pair.rate_limit``: so many bytes a second in each direction.
