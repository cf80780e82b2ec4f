The server answers the farther client of a pair first and the nearer one slightly later, so that
both get the answer at the same moment and their connection attempts cross (Linux). ``--no-align``
or ``Rendezvous(align=False)`` turns this off.
