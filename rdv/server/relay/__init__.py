"""
A pair, from the two 101s until both connections have ended, and what it may use of the relay.
"""
