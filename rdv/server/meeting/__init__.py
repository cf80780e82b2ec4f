"""
Two clients of one token meet: they wait in the lobby, the ``serve`` hook decides, and both are told
at the same moment.
"""
