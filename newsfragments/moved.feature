``rdv dial``, ``accept``, ``expose`` and ``connect`` print ``MOVED`` when a stream moves to another
path, and report an event ``moved`` with ``--json``. ``--no-move`` keeps the stream on its path.
