"""
A connection that may become the stream, until it is chosen.
"""
