On Linux, the relay moves data between plain TCP connections inside the kernel, with ``splice``, and
small messages without a detour through the reactor.
