When the lobby is full, a client from the address (or IPv6 /64) with the most waiting clients makes
room for a client from another address, and is told to retry by a 503; a hundred addresses that only
wait can no longer keep everyone else out.
