A server of its own uses half the CPU time for a pair that it did before, and half the system calls.
