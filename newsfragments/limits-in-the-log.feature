The server's log sums up once a minute what limits have refused, with the addresses that were refused most often.
