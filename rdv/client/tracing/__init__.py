"""
Telling traces what happens in an attempt; :mod:`rdv.client.trace` has the events.
"""
