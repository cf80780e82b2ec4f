"""
Tests of the secure channel.
"""
