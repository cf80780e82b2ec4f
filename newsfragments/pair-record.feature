For each pair, the server logs why it ended, how long the first client waited, how long the pair
lasted, and both addresses; the log lines of a pair share an id. ``Rendezvous.listeners`` get the
same as a ``PairRecord``.
