All attempts of a client share a budget of SYNs, and ``rdv expose`` begins attempts more slowly when many come to nothing,
so that nobody can use it to flood an address with dials.
