"""System tests: real processes, real sockets, real signals. Run with ``trial tests``."""
