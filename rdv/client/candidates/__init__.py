"""
A connection that may become the stream, until one is chosen.
"""
