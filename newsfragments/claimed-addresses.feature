An address that only the peer itself claims is redialled five times instead of 330 times, and all
such dials of a client share a budget, so that a peer can no longer make ``rdv expose`` flood a
third party. A peer at another site can no longer tell from the time at which the relay is taken
whether ports in your network are open.
