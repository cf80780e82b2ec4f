If the server's name has several addresses, both peers try the same one first, whatever order the resolver returns them in, and one that does not answer is left after 2.5 seconds.
