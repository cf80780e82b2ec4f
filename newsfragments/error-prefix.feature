The error messages of commands start with ``rdv:``, as is usual for other programs, including those
for wrong usage.
