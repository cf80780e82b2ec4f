``rdv serve`` uses half the CPU time per pair, and less than half the system calls.
