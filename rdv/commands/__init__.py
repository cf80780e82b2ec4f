"""
The commands: ``rdv`` and what it can do, a module for each.
"""
