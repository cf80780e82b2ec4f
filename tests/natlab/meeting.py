"""
Meetings in a lab.
"""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

from tests.natlab.lab import Lab
from tests.natlab.model import Conditions, Topology
from tests.natlab.namespaces import LabError
from tests.natlab.programs import Server, start_peer
from tests.natlab.report import Result
from tests.natlab.topologies import TOPOLOGIES

__all__ = ["Meetings", "meet", "unavailable"]


class Meetings:
    """
    A lab with a server and two peers in it, for any number of meetings. To be used in a ``with``
    statement, or closed. All calls block.

    :param dialer: ``rdv`` or ``plain``, as ``acceptor`` and ``server``.
    :param dialer_options: keywords for :class:`rdv.client.Client`; see
        :func:`tests.natlab.agent.client_options`.
    :param server_options: for the server's command line.
    """

    def __init__(
        self,
        topology: Topology,
        conditions: Conditions | None = None,
        *,
        dialer: str = "rdv",
        acceptor: str = "rdv",
        server: str = "rdv",
        dialer_options: dict[str, Any] | None = None,
        acceptor_options: dict[str, Any] | None = None,
        server_options: Sequence[str] = (),
    ) -> None:
        self.lab = Lab(topology, conditions)
        lab = self.lab
        with ThreadPoolExecutor(3) as pool:  # they take longer to start than anything else
            try:
                starting = (
                    pool.submit(Server, lab, server, server_options),
                    pool.submit(start_peer, dialer, lab.dialer, dialer_options),
                    pool.submit(start_peer, acceptor, lab.acceptor, acceptor_options),
                )
                self.server = starting[0].result()
                self.dialer = starting[1].result()
                self.acceptor = starting[2].result()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Meetings:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything. Nothing happens the second time."""
        self.lab.close()

    def meet(
        self,
        *,
        timeout: float = 20.0,
        patience: float = 5.0,
        settle: float = 0.0,
        token: str | None = None,
    ) -> Result:
        """
        One meeting: the acceptor goes to the server, then the dialer.

        :param timeout: seconds until each is connected.
        :param patience: seconds that each waits for a byte after that.
        :param settle: seconds that both wait, when all is said, for the stream to move.
        :param token: or the text of a secret; a new token by default.
        """
        token = token or secrets.token_hex(8)
        lab = self.lab
        for host in (lab.dialer, lab.acceptor):
            host.counters()
        start = self.server.log.mark()
        with ThreadPoolExecutor(2) as pool:
            try:
                arguments = lab.url, token, timeout, patience, settle
                accepting = pool.submit(self.acceptor.meet, "accept", *arguments)
                self.server.await_acceptor(start)
                dialling = pool.submit(self.dialer.meet, "dial", *arguments)
                dialer, acceptor = dialling.result(), accepting.result()
            except BaseException:
                self.close()  # otherwise the threads would continue, and we wait for them
                raise
        return Result(dialer, acceptor, lab.dialer.counters(), lab.acceptor.counters())


def meet(
    name: str, conditions: Conditions | None = None, *, runs: int = 1, **options: Any
) -> list[Result]:
    """
    Build a topology, let two peers meet in it, and remove it. Blocks.

    :param name: one of :data:`tests.natlab.topologies.TOPOLOGIES`.
    :param options: for :class:`Meetings`.
    """
    with Meetings(TOPOLOGIES[name], conditions, **options) as meetings:
        return [meetings.meet() for _ in range(runs)]


@functools.cache
def unavailable() -> str | None:
    """Why there can be no lab here; None when there can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are a thing of Linux"
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    for program in ("ip", "nft"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    try:
        # It has a bit of everything that is used anywhere.
        Lab(TOPOLOGIES["v6-firewall"], Conditions(peers=1)).close()
    except (LabError, OSError) as error:
        return f"no laboratory here: {error}"
    return None
