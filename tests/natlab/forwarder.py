"""
An internet with delay, jitter and loss, for which this kernel has no queueing discipline.

``python -m tests.natlab.forwarder CONFIG`` moves IP packets between TUN devices. CONFIG is JSON::

    {"sites": [{"fd": 5, "networks": ["203.0.113.0/24", "2001:db8:a::/48"]}, ...],
     "delays": [[0, 0.01], [0.01, 0]],   seconds, from site to site, one way
     "jitter": 0.002,                    seconds, at most; added to the delay, evenly distributed
     "loss": 0.02,                       of all packets
     "seed": null}

Packets between two sites keep their order, whatever the jitter, as they mostly do in reality. A
packet from an address of another site, or to an address of no site, is dropped. The program prints
one line when it is ready, and ends with its stdin.
"""

from __future__ import annotations

import contextlib
import gc
import ipaddress
import json
import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from ctypes import CDLL
from heapq import heappop, heappush
from random import Random
from typing import Any

#: A sleep ends late by about this much; the rest is spent looking at the clock.
_SPIN = 0.0002
_PR_SET_TIMERSLACK = 29
_BATCH = 64


class Routes:
    """Which site an address belongs to."""

    def __init__(self, networks: Sequence[Sequence[str]]) -> None:
        self._networks = [
            (ipaddress.ip_network(network), site)
            for site, texts in enumerate(networks)
            for network in texts
        ]
        self._known: dict[bytes, int | None] = {}

    def find(self, packed: bytes) -> int | None:
        """The number of the site; None when it is nobody's."""
        try:
            return self._known[packed]
        except KeyError:
            ip = ipaddress.ip_address(packed)
            found = (site for network, site in self._networks if ip in network)
            return self._known.setdefault(packed, next(found, None))


class Forwarder:
    """
    Decides what happens to a packet; has no devices.

    :param random: a number from 0 to below 1.
    """

    def __init__(
        self,
        routes: Routes,
        delays: Sequence[Sequence[float]],
        jitter: float,
        loss: float,
        random: Callable[[], float],
    ) -> None:
        self._routes = routes
        self._delays = delays
        self._jitter = jitter
        self._loss = loss
        self._random = random
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._latest = {(a, b): 0.0 for a in range(len(delays)) for b in range(len(delays))}
        self._count = 0

    def take(self, source: int, packet: bytes, now: float) -> None:
        """A packet came from a site."""
        version = packet[0] >> 4
        if version == 4:
            sender, receiver = packet[12:16], packet[16:20]
        else:
            sender, receiver = packet[8:24], packet[24:40]
        target = self._routes.find(receiver)
        if target is None or self._routes.find(sender) != source:
            return
        if self._loss and self._random() < self._loss:
            return
        due = now + self._delays[source][target]
        if self._jitter:
            due += self._jitter * self._random()
        pair = source, target
        due = self._latest[pair] = max(due, self._latest[pair])
        self._count += 1
        heappush(self._waiting, (due, self._count, target, packet))

    @property
    def next_due(self) -> float | None:
        """When the next packet is to go out; None when there is none."""
        return self._waiting[0][0] if self._waiting else None

    def pop(self) -> tuple[int, bytes]:
        """The next packet, with the site to which it goes."""
        _, _, target, packet = heappop(self._waiting)
        return target, packet


def serve(forwarder: Forwarder, devices: Sequence[int], stop: int) -> None:
    """Move packets between the devices until the descriptor ``stop`` can be read."""
    sites = {fd: number for number, fd in enumerate(devices)}
    watched = [stop, *devices]
    clock = time.monotonic
    while True:
        due = forwarder.next_due
        patience = None if due is None else max(0.0, due - clock() - _SPIN)
        ready, _, _ = select.select(watched, (), (), patience)
        for fd in ready:
            if fd == stop:
                return
            now = clock()
            with contextlib.suppress(BlockingIOError):
                for _ in range(_BATCH):
                    forwarder.take(sites[fd], os.read(fd, 65536), now)
        while (due := forwarder.next_due) is not None and due - clock() <= _SPIN:
            while clock() < due:
                pass
            target, packet = forwarder.pop()
            with contextlib.suppress(OSError):  # the device is full or down: one more loss
                os.write(devices[target], packet)


def main(config: dict[str, Any]) -> None:
    """The program."""
    CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(OSError):
        os.nice(-15)
    devices = [site["fd"] for site in config["sites"]]
    for fd in devices:
        os.set_blocking(fd, False)
    forwarder = Forwarder(
        Routes([site["networks"] for site in config["sites"]]),
        config["delays"],
        config["jitter"],
        config["loss"],
        Random(config["seed"]).random,
    )
    gc.disable()  # nothing here makes cycles
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    serve(forwarder, devices, 0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(json.loads(sys.argv[1]))
