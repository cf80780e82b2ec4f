"""
The ``rdv`` command and its subcommands, a module for each.
"""
