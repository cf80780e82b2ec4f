``--log-format text|json|access`` for ``rdv serve`` and ``twist rdv``: JSON is one flat object a line,
and ``access`` is one line for each pair, in columns that awk and GoAccess read.
