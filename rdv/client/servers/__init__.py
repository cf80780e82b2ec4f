"""
Which server is contacted first, and contacting several at once.
"""
