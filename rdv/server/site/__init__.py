"""
A server of its own: ports, signals, and how fast it accepts.
"""
