The command that ``rdv accept`` and ``rdv expose`` print for the other side includes the options
that are needed there too: ``-r`` or ``--spaces``, and ``--ca`` with a note about the file to copy.
