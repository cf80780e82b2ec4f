"""
What is known of clients and pairs: a record of each pair that has ended, what the log is told, and
counters under the names that Prometheus has.
"""
