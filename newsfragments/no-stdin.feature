``rdv accept`` and ``rdv dial`` have an option ``-n``, as ssh does: they do not read stdin, as
needed in loops such as ``while read token; do rdv accept -n ...; done <list``.
