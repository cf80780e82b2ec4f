A server warns when its first clients look as if a proxy hid their addresses, and says what to do.
