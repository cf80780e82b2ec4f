"""
A standalone server: ports, signals, and how fast it accepts.
"""
