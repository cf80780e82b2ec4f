When open files run short, a server drops connections without a complete request, and refused
connections that do not close, starting with those of the address that has the most of them, so that
nobody can keep others out by holding connections. Waiting clients use at most three quarters of the
descriptors.
