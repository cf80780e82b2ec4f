"""
Passes clients' connections to another process on the same host: to the worker that owns a token, or
to the next generation of the server.
"""
