"""
Clients' connections on their way to another process of the same host: to the worker that owns a
token, or to the next generation of the server.
"""
