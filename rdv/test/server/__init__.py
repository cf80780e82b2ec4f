"""
The server: each phase of a client's stay, in memory and over sockets.
"""
