What limits refuse is summed up in the server's log once a minute, with the addresses that they hit
most often.
