All options may also precede the command, and a token may start with a dash. ``--help`` of a command
lists only its own options; ``serve`` rejects ``-r``, and the other commands reject ``-l``, which
they ignored before.
