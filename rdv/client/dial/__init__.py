"""
Every dial from the one port.

``targets`` says where, from the headers alone. A NAT that changes ports shows itself: the observed
port is none that the client has named; then the ports behind it are dialled too, first of all and
in order when our own NAT does it as well, because then each dial uses up a port. ``HolePuncher``
repeats a refused dial from the same port as ``Pacing`` says: at once, since the round trip paces it
already; with a floor where refusals come back in microseconds; with jitter, as two peers
at one pace can miss each other for ever; in three bursts of a hundred, and more and more slowly
behind them. That is for addresses where the peer is known to be, which share one budget of SYNs;
those that it only claims get a few dials, paid for from another one before the first. A dial that
is merely not answered is left to the system, which sends its SYN again in a second: the sequence
number of a new one would collide with the answer to the old SYN. While an address is redialled at
full rate the listener ignores its SYNs to the address from which we dial
(``syn_filter``), because the listener's answer would not fit what the NATs have seen of the refused
dial; our next dial meets that SYN instead, as a simultaneous open.
"""
