"""
Clients that are passed from one process to another.
"""
