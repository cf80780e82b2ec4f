"""
Moves bytes inside the kernel: Linux only. :mod:`rdv._flows` describes how.
"""
