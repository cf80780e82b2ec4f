A server can require a bearer token (``--bearer-file FILE``), and admit or reject networks
(``--allow``, ``--deny``). SIGHUP reloads all of these files.
