``rdv accept`` and ``rdv dial`` take ``-n``, as ssh does: stdin is not read, which a loop such as ``while read token; do rdv accept -n ...; done <list`` needs.
