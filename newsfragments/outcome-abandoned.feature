A pair only counts as ``direct`` if the acceptor has sent HELLO and the dialer has closed the relay
cleanly. Clients that were killed, or gave up, count as ``abandoned``, a new outcome, instead of
``direct``.
