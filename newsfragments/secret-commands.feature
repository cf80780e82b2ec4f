The commands encrypt by default where they make the token: ``rdv accept`` and ``rdv expose`` without a token make a secret
and print the command for the other side. ``rdv token`` prints one, ``--secure`` refuses any other, and ``--token-file``,
``RDV_TOKEN`` and ``RDV_SERVER`` keep tokens and URLs off the command line. A plain stream is said to be one.
