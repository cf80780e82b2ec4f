"""
The admin port: ``--admin``.

``/metrics`` is for Prometheus, ``/status`` for programs and ``/`` for humans. All of it is rendered
from a :data:`~rdv.server.accounting.metrics.Sample`, which is collected on request: from the
rendezvous of this process, or from all workers. Nothing here is on the path of a client. A sample
every ten seconds is kept for an hour, for the graphs of the page.

What can go wrong: a scraper reads slowly, or not at all (it is cut some seconds after the
response); many requests arrive at once (beyond some dozens, the connection is closed, and
simultaneous requests share one sample); a worker has stopped (the response comes a second later,
and says which one); a web page elsewhere makes the operator's browser send requests, under its own
name for this host (the ``Host`` header is checked: see ``hosts``).
"""
