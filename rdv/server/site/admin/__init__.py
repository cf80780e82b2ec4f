"""
What a server tells its operator, at a port of its own: ``--admin``.

``/metrics`` is for Prometheus, ``/status`` for programs and ``/`` for people. All of it is made of
a :data:`~rdv.server.accounting.metrics.Sample`, which is got when somebody asks: from the
rendezvous of this process, or from all workers. So nothing here is on the way of a client. A look
every ten seconds, an hour of them, is kept for the curves of the page.

What can go wrong: a scraper reads slowly, or not at all (it is cut some seconds behind the answer);
many come at once (beyond some dozens the connection is closed, and all who ask at the same moment
are answered by the same look); a worker has stopped (the answer comes a second later, and says
which one); a web page elsewhere has the operator's browser ask, under a name of its own for this
host (the ``Host`` header is looked at: see ``hosts``).
"""
