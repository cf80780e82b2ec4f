``--log-format text|json|access`` for servers: ``json`` writes one flat object per line, ``access``
one line per pair, in columns that awk and GoAccess can read.
