Commands read headers for the server, such as a password, from a file with ``--header-file FILE``,
one ``NAME: VALUE`` per line, so that they do not appear in the process list.
