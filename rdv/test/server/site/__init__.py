"""
The standalone server.
"""
