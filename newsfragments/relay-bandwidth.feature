``--relay-rate``, ``--relay-rate-total`` (which pairs share fairly) and ``--relay-quota`` limit what
a server relays; an embedded server has ``Rendezvous(relay=RelayLimits(...))``, and a ``serve`` hook
can set ``Pair.quota``.
