"""
What an attempt ends in: the connection that the application has, also while the relay can still
take its place.
"""
