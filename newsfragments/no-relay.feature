With ``--no-relay`` a server introduces peers to each other and relays nothing. Clients say so when there is no direct path, and at once when they could only be relayed.
