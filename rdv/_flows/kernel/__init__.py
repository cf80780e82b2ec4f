"""
Bytes moved inside the kernel: Linux only. :mod:`rdv._flows` tells how.
"""
