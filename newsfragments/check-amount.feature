``rdv check`` transfers 4 MB instead of 67 MB to measure the relay of a remote server, and says so
before it starts.
