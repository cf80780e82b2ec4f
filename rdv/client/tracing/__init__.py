"""
What an attempt tells its traces, in the words of :mod:`rdv.client.trace`.
"""
