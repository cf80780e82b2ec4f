A server limits what each address (or IPv6 /64) may use, across all ``--workers``: connections
(``--limit-connections``, 256), waiting clients (``--limit-waiting``, 128), clients in pairs
(``--limit-pairs``, 64), requests per second (``--limit-requests``, 20), and failed meetings per
minute (``--limit-failures``, 60). Beyond these it returns 429 with ``Retry-After``; ``--no-limits``
disables them. A ``Rendezvous`` in your own site has no limits unless you pass ``limits=Limits()``.
