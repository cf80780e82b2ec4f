If the server's name has several addresses, both peers try the same one first, regardless of the
order in which the resolver returns them. If that machine does not answer, dies or drains, both move
on to the next one, and return once it is back.
