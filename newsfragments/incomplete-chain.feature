A client says whose certificate is not trusted, and that a server does not send its whole chain, if that is what is wrong; ``rdv check`` does so, too.
