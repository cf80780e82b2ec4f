"""
What a server does when descriptors run short.
"""
