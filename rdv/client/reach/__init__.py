"""
How this host can be reached: its own addresses, a port that a router maps, and what an attempt has
opened for a peer.
"""
