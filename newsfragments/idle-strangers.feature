A relayed pair may be silent for 10 minutes by default, and for an hour, as before, if the server knows the user of one of its clients. ``--idle-timeout`` sets one time for all.
