"""
Refusing clients, and shutting down: a refused client gets time to read its answer, and a server
that stops lets its pairs finish.
"""
