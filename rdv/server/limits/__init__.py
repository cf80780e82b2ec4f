"""
Limits per address: connections, waiting clients, clients in pairs, requests, and failed meetings.

A client is counted from its connection until its end, under the address that the server observes:
an IPv4 address, or an IPv6 /64, which is what one household gets. If the address is unknown,
nothing is counted for it, and only the limits for the whole server apply.

``numbers`` has the limits, and ``admission`` applies them: it admits a connection and gives it a
``Lease``, by which it is counted for as long as it stays. ``sketch`` counts and times without
connections or clocks, ``memory`` is where the counts are kept, ``hits`` remembers which addresses
have hit limits, ``hiding`` detects proxies, and ``tried`` remembers the tokens with which an
address has already failed.

A failure is a request with a token for which no peer is there: a client that then leaves, waits in
vain, or may not wait, has learned as much as from a guess. So has a client that meets a peer at its
own address, because that may be the same attacker. A client that retries is not guessing, because
it uses the same token.

All workers share one memory. Each worker has its own part of the counts, which nobody else writes,
and the sum over all parts is what counts; no worker waits for another, and when a worker dies, the
parent clears its part. Counters are found by a keyed hash of the address, in two rows: two
addresses that share a counter in one row hardly ever share one in the other, and the smaller of the
two is used. A count may therefore be too high but never too low. Nobody can choose an address that
shares counters with another, because the key is random and stays in memory. Among 100,000 other
addresses, one that is within its limits is refused with a probability below 1e-4, even if 1000 of
them use all that they may; a test shows it. All of it takes 6 MiB, and 2 MiB more for each worker,
as far as it is used.

Rates are kept as times (GCRA): when an address would have used up what it has requested at an even
rate. All workers write these. If two do so at the same moment, one request is not counted, which is
harmless.

What can go wrong: two workers admit a client at the same moment (at most one too many for each of
the other workers); a worker dies with counts (its part is cleared); a client on its way from one
worker to another is counted by neither (for a moment, a few hundred at most); two addresses share
both counters (both counts are too high).

The library ``limits`` does not fit: it counts requests in time windows but not connections that
stay, and its processes can only share counts through Redis or similar. Its memory within one
process is unbounded and is swept by a thread.
"""
