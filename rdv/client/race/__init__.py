"""
From the server's answer to the choice of one candidate.
"""
