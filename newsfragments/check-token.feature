``rdv check --token-file FILE`` checks a server that wants signed tokens.
