Commands read headers for the server, such as a password, from a file with ``--header-file FILE``: a ``NAME: VALUE`` a line,
which no other user sees in the list of processes.
