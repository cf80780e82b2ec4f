The server's log says of each pair why it ended, how long the first client waited, how long the pair
lasted, and both addresses; its lines carry an id. ``Rendezvous.listeners`` get the same as a
``PairRecord``.
