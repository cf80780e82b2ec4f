``rdv dial``, ``accept``, ``expose`` and ``connect`` print ``MOVED`` when a stream goes another way than it began, and with ``--json`` there is an event ``moved``. ``--no-move`` keeps it on its path.
