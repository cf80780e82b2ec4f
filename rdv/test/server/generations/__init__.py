"""
Generations of a server.
"""
