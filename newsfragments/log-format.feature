``--log-format text|json|access`` for servers: ``json`` is one flat object a line, ``access`` one line for each pair, in columns that awk and GoAccess read.
