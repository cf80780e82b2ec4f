"""
From the lobby until both clients are answered: matching, the ``serve`` hook, and answering both at
the same moment.
"""
