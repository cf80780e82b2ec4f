``rdv check --token-file FILE`` checks a server that requires signed tokens.
