"""
Reloading the files of a running server, and reporting its state to systemd.
"""
