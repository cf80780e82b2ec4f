``rdv serve --workers N`` and ``twist rdv --workers N`` serve one set of ports with several processes, and so with several cores; a worker that dies is started again, and the others are unharmed.
