"""
What happens to a running server from outside: it is told to read its files again, and tells systemd
how it is.
"""
