On Linux the relay moves bytes between plain TCP connections inside the kernel, with ``splice``, and messages without a detour through the reactor.
