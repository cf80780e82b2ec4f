On SIGHUP, a server reloads its configuration and its files, in all of its processes, and applies
most settings immediately; the log names those that need a new generation. If there is a mistake,
the old settings stay in effect, and the log says what is wrong. Signals that arrive while a server
or one of its workers is starting no longer kill it.
