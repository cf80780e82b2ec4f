"""
A server of its own: its site, and what it leaves to clients.
"""
