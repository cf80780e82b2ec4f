"""
The request to the server: an ``IAgent`` under treq that surfaces a 101.
"""
