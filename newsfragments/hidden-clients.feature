A server warns when its first clients look as if a proxy hid them, and names the remedy.
