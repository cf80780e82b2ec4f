"""
All dials, from the one port.

``targets`` selects the addresses, from the headers alone. A NAT that changes ports can be
recognized: the observed port is not one that the client has reported. The ports after it are then
dialled too; if our own NAT also changes ports, they are dialled first and in order, because each
dial then uses up a port. ``HolePuncher`` repeats a refused dial from the same port, as ``Pacing``
says: immediately, because the round trip already limits the pace; with a minimum pause where
refusals arrive within microseconds; with jitter, because two peers at the same pace could miss each
other forever; in three bursts of a hundred, and after those more and more slowly. This applies to
addresses at which the peer is known to be; they share one budget of SYNs. Addresses that the peer
only claims get a few dials from another budget, charged before the first dial. A dial that gets no
answer is left to the system, which repeats its SYN after a second: the sequence number of a new SYN
would collide with the answer to the old one. While an address is redialled at full rate, the
listener ignores SYNs from it to the address from which we dial (``syn_filter``), because the
listener's answer would not match what the NATs have seen of the refused dial. Our next dial meets
that SYN instead, as a simultaneous open.
"""
