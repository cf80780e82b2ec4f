``rdv dial``, ``accept``, ``expose`` and ``connect`` print ``MOVED`` when a stream moves to another path, and with ``--json``
there is an event ``moved``. ``--no-move`` keeps the stream on its path.
