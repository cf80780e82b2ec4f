"""
How peers can reach this host: its own addresses, a port mapping, and what an attempt has opened.
"""
