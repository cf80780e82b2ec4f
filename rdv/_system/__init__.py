"""
Interfaces to the kernel: sockets, ``TCP_INFO``, descriptors, interfaces, filters, timers.
"""
