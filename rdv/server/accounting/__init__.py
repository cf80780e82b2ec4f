"""
The record of each pair, log events, counters, and the metrics that they become.
"""
