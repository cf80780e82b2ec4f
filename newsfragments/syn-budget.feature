All attempts of a client share a budget of SYNs, and ``rdv expose`` starts attempts more slowly if
many fail, so that nobody can use it to flood an address with dials.
