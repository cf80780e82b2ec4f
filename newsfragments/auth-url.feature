With ``--auth-url URL`` a server asks a program of the operator's about each client, which may also name its user. Answers are cached; while there is none, clients get a 503.
