"""
To be written.
"""
