"""
The application's connection, and falling back to the relay while that is possible.
"""
