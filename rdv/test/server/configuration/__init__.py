"""
The settings of a server, as operators write them.
"""
