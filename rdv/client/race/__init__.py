"""
The race, from the server's answer to the choice of a candidate.
"""
