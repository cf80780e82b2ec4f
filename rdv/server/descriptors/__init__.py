"""
What a server does when file descriptors run short: which connections it drops, which clients it
refuses, and when it stops accepting.
"""
