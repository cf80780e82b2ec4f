"""
Which of a thousand servers a token is assigned to, what changes when one is lost or added, and how
long two peers then fail to meet. This is a simulation: nothing is sent.

``python -m benchmarks.placement [--servers 1000] [--tokens 1000000] [--runs 300]``

The hash is measured with fewer servers and tokens, because it takes a microsecond for each
combination. The results for all of them use random numbers, to which the hash is equivalent.

The times result from the client's own scheduling (``rdv.client.servers.several``) on a simulated
clock, with simplified servers and paths, and 10 to 100 ms from each peer to each server. They last
from the arrival of the second peer, or from the event, to the connection.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence

from benchmarks.common import percentile, table
from rdv.client.order import weight
from rdv.test.client.servers.test_several_model import SERVERS, Peer, Way, World

Ways = list[tuple[Way, Way]]

#: The number of servers in each pair's list.
_LIST = 3
_OPEN, _GONE, _SILENT = Way.OPEN, Way.REFUSED, Way.SILENT


def _first(token: bytes, servers: Sequence[str]) -> str:
    return max(servers, key=lambda server: weight(token, server))


def _hash(servers: int, tokens: int) -> list[list[str]]:
    """How many tokens the hash reassigns when a server is lost."""
    names = [f"https://rdv{number}.example:443/rdv" for number in range(servers)]
    keys = [b"token %d" % number for number in range(tokens)]
    firsts = {key: _first(key, names) for key in keys}
    counts = Counter(firsts.values())
    mean = tokens / servers
    deviation = (sum((counts[name] - mean) ** 2 for name in names) / servers) ** 0.5
    fewer = names[1:]
    moved = sum(firsts[key] != _first(key, fewer) for key in keys)
    own = counts[names[0]]
    return [
        [
            f"spread of tokens on {servers} servers, of that of chance",
            f"{deviation / mean**0.5:.2f}",
        ],
        ["tokens that move when one is lost, of those it had", f"{moved / own:.2f}"],
    ]


def _places(servers: int, tokens: int) -> list[list[str]]:
    """A list of three servers for each token, at random."""
    chance = random.Random(1)
    lists = [chance.sample(range(servers), _LIST) for _ in range(tokens)]
    firsts = Counter(each[0] for each in lists)
    waiting = Counter(server for each in lists for server in each)
    mean = tokens / servers
    dead = set(range(servers // 100))
    rows = [
        ["most pairs on one server, relative to the mean", f"{max(firsts.values()) / mean:.2f}"],
        [
            "most places taken on one server, relative to the mean",
            f"{max(waiting.values()) / mean / 3:.2f}",
        ],
        ["pairs whose first server is lost with one", f"{firsts[0] / tokens * 100:.2f} %"],
    ]
    without = [sum(server in dead for server in each) for each in lists]
    for number in range(1, _LIST + 1):
        share = sum(found >= number for found in without) / tokens
        rows.append([f"1 % dead: pairs with {number} of 3 dead", f"{share * 100:.4f} %"])
    return rows


def _versions(servers: int, tokens: int) -> list[list[str]]:
    """Peers one of which knows servers that the other one does not."""
    rows = []
    chance = random.Random(2)
    for more in (1, servers // 10, servers):
        apart = 0
        for _ in range(tokens):
            # Each new server among the best three displaces an old one.
            new = sum(chance.random() < more / (servers + more) for _ in range(_LIST))
            apart += new == _LIST
        rows.append(
            [f"{more} added: pairs without a common server", f"{apart / tokens * 100:.3f} %"]
        )
    return rows


def _time(before: Ways, then: Ways, late: float, runs: int) -> list[str]:
    """
    :param before: the paths to the servers when the acceptor arrives.
    :param then: the paths after the event, ten seconds later.
    :param late: seconds from the event until the dialer arrives.
    :return: the median and the maximum time until both are connected.
    """
    took = []
    for seed in range(runs):
        chance = random.Random(seed)
        world = World([chance.uniform(0.01, 0.1) for _ in range(2 * len(SERVERS))], seed)
        world.change(before)
        dialer, acceptor = (Peer(world, side, one=False) for side in (0, 1))
        clock = world.clock
        clock.callLater(0, acceptor.start)
        clock.callLater(10, world.change, then)
        clock.callLater(10 + late, dialer.start)
        while not (dialer.is_done and acceptor.is_done):
            clock.advance(clock.getDelayedCalls()[0].getTime() - clock.seconds())
        took.append(clock.seconds() - 10 - late)
    return [f"{percentile(took, 50):.2f} s", f"{max(took):.2f} s"]


def _times(runs: int) -> list[list[str]]:
    def ways(dialer: Way = _OPEN, acceptor: Way = _OPEN) -> Ways:
        return [(dialer, acceptor)] + [(_OPEN, _OPEN)] * (len(SERVERS) - 1)

    fine = ways()
    gone, silent, drains = (ways(each, each) for each in (_GONE, _SILENT, Way.DRAINS))
    return [
        [text, *_time(before, then, late, runs)]
        for text, before, then, late in (
            ("nothing is wrong", fine, fine, 1.0),
            ("the first is killed as the dialer comes", fine, gone, 0.0),
            ("the first drains", fine, drains, 0.0),
            ("the first is silent, for both", fine, silent, 0.0),
            ("refuses the acceptor alone", ways(acceptor=_GONE), ways(acceptor=_GONE), 0.0),
            (
                "is silent for the acceptor alone",
                ways(acceptor=_SILENT),
                ways(acceptor=_SILENT),
                0.0,
            ),
            ("refuses the dialer alone", ways(dialer=_GONE), ways(dialer=_GONE), 0.0),
            ("is silent for the dialer alone", ways(dialer=_SILENT), ways(dialer=_SILENT), 0.0),
            ("is back as the dialer comes", gone, fine, 0.0),
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--servers", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=300)
    options = parser.parse_args()
    servers, tokens = options.servers, options.tokens
    rows = _hash(min(servers, 100), min(tokens, 20_000))
    rows += _places(servers, tokens) + _versions(servers, min(tokens, 200_000))
    print(table([f"{tokens} tokens, {servers} servers, 3 for each token", ""], rows))
    print()
    print(table(["time to meet", "median", "longest"], _times(options.runs)))


if __name__ == "__main__":
    main()
