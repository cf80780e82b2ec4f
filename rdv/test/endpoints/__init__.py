"""
Endpoints: retrying, queueing, listening, and what Twisted sees of it.
"""
