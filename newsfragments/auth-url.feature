``rdv serve`` and ``twist rdv`` have ``--auth-url URL``: a program of the operator's is asked about each client, and may name its user. Answers are kept for a while; without one, clients get a 503.
