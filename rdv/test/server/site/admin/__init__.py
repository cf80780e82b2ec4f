"""
The admin port of a server.
"""
