``rdv check`` finds out whether one direction of a relayed connection can end before the other, or whether the server, or a proxy before it, ends both.
