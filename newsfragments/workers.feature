``rdv serve --workers N`` and ``twist rdv --workers N`` serve the same ports with several processes,
and thus several cores; a worker that dies is restarted, and the others are not affected.
