``rdv serve`` uses half the CPU time for a pair that it did before, and less than half the system calls.
