"""
The application's connection, and the fallback to the relay while that is possible.
"""
