"""
Which servers are asked, in which order, and several of them at once.
"""
