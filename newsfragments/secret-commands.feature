The commands encrypt by default if they generate the token: ``rdv accept`` and ``rdv expose``
without a token generate a secret and print the command for the other side. ``rdv token`` prints a
secret, ``--secure`` rejects any other token, and ``--token-file``, ``RDV_TOKEN`` and ``RDV_SERVER``
keep tokens and URLs off the command line. The commands print a notice on a plain stream.
