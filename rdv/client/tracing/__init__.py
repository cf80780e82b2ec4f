"""
Reports the events of an attempt to traces; see :mod:`rdv.client.trace` for the events.
"""
