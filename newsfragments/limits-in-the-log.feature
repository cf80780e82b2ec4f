Once a minute, the server's log summarizes what limits have refused, with the addresses that were
refused most often.
