"""
What the kernel tells and takes: sockets, ``TCP_INFO``, descriptors, interfaces, filters, timers.
"""
