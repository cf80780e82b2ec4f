The acceptor of a plain stream no longer mistakes a neighbour that answers at the dialer's private
address, or connects to the open port, for the dialer: on such a path, it waits until the dialer has
left the relay. In a LAN, this takes a trip through the server; ``Client(witness=False)`` turns it
off.
