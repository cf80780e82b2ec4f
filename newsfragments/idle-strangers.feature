A relayed pair may be idle for 10 minutes by default, and for an hour, as before, if the server
knows the user of either client. ``--idle-timeout`` sets one limit for all.
