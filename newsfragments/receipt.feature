Between two rdv commands, status 0 of the sender is a receipt: a receiver whose input is empty
(``</dev/null``) ends its direction only after it has written everything, and breaks the stream if
it cannot.
