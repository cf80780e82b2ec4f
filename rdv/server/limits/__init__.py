"""
What one address may have of a server: connections, clients that wait, clients in pairs, requests,
and meetings to which nobody comes.

A client is counted from its connection on to its end, under the address that the server observes:
one of IPv4, or a /64 of IPv6, which is what one household gets. When that is unknown nothing is
counted for it, and only what holds for the whole server does.

``numbers`` is how many of each, and ``admission`` applies that: it admits a connection and gives it
a ``Lease``, by which it is counted as long as it stays. ``sketch`` counts and times without
connections or clocks, ``memory`` is where that is kept, ``hits`` remembers whom limits have hit,
``hiding`` finds out that an address is a proxy's, and ``tried`` which tokens an address has failed
with already.

A failure is a token with which somebody asks and nobody is there: whoever then leaves, or waits in
vain, or may not wait, has learned as much as by a guess. So has whoever meets a client of his own
address, as that may be himself. A client that comes again is no guess, as it has the same token.

Several workers have one memory. Of counts each worker has a part that nobody else writes, and the
sum over all is what counts; so nobody waits for anybody, and when a worker dies the parent clears
its part. Counters are found by a keyed hash of the address, in two rows: two addresses that share a
counter in one row hardly share one in the other, and the lesser of the two is believed. So a count
may be too high and never too low. Nobody can choose an address that shares counters with another,
as the key is random and stays in the memory. With 100,000 addresses beside it, one that is within
its limits is refused with a chance below 1e-4, even if 1000 of them have all that they may; a test
shows it. All of it takes 6 MiB, and 2 MiB more for each worker, as far as it is used.

Rates are kept as times (GCRA): when an address would have used up what it has asked for, had it
asked at the even rate. All workers write these. When two do so at the same moment one request is
not counted, which is harmless.

What can go wrong: two workers let one in at the same moment (there is one too many at most for each
of the others); a worker dies with counts (its part is cleared); a client on its way from one
worker to another is counted by neither (a moment, a few hundred at most); two addresses share both
counters (both are counted too high).

The library ``limits`` does not fit: it counts requests in windows of time but not connections that
stay, and what its processes share is Redis or the like. Its memory within one process has no bound
and is swept by a thread.
"""
