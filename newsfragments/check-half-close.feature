``rdv check`` finds out whether one direction of a relayed connection can end before the other, or
whether the server, or a proxy in front of it, ends both.
