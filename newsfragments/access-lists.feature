A server can require a bearer token (``--bearer-file FILE``), and let in or keep out networks (``--allow``, ``--deny``). All such files are read again at SIGHUP.
