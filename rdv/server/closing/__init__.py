"""
How connections to a server end that have no peer, or may keep it no longer: a client is refused and
gets time to read that, and a server that stops lets its pairs end.
"""
