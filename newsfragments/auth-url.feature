With ``--auth-url URL``, a server asks the operator's own program about each client; the response
may also name the client's user. Responses are cached; while there is no response, clients get a
503.
