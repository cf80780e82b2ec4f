A server warns if its first clients appear to be hidden behind a proxy, and says what to do.
