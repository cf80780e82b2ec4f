"""
Shared by all parts of one attempt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twisted.internet.defer import DeferredLock

from rdv._allowance import Allowance
from rdv._secure.exchange import SecureAttempt
from rdv.client.candidates.candidate import Candidate
from rdv.client.tracing.attempt_trace import NO_TRACE, AttemptTrace
from rdv.client.tracing.candidate_trace import NO_CANDIDATE_TRACE, CandidateTrace
from rdv.wire import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.web.iweb import IPolicyForHTTPS

    from rdv.addresses import Address, AddressSpace
    from rdv.client.dial.shared_port import IClientReactor
    from rdv.client.http.proxy import Proxy
    from rdv.client.move import Move
    from rdv.client.race.choice import Chooser
    from rdv.client.reach.port_mapping import PortMapping
    from rdv.client.reach.self_addresses import SelfAddresses

__all__ = ["Context", "Settings", "Syns"]


# These are never changed, compared or printed. Generating methods for that takes time when a
# command starts.
@dataclass(eq=False, repr=False)
class Syns:
    """
    The SYNs of all attempts of one client. A peer names the addresses that are dialled: it must not
    be able to flood a host by starting attempt after attempt.

    :ivar known: the budget for addresses at which peers are known to be: at once, twice what one
        attempt may use; in the long run, 100 a second.
    :ivar claimed: the budget for addresses that only peers claim. First dials may overdraw it by
        the same amount.
    """

    known: Allowance = field(default_factory=lambda: Allowance(1500, 100))
    claimed: Allowance = field(default_factory=lambda: Allowance(500, 100))


@dataclass(eq=False, repr=False)
class Settings:
    """The settings of a client; :class:`rdv.client.Client` describes them."""

    tls: IPolicyForHTTPS
    spaces: AddressSpace
    self_addresses: SelfAddresses
    port_mapping: PortMapping | None
    local_port: int
    lowest_port: int
    chooser: Chooser
    server_timeout: float
    handshake_timeout: float
    move: bool
    proxy: Proxy | None = None
    witness: bool = True


@dataclass(eq=False, repr=False)
class Context:
    """
    :ivar role: our role.
    :ivar token: the token for the server.
    :ivar secured: what the handshakes need; None for a plain attempt.
    :ivar trace: gets the attempt's events.
    :ivar candidates: the candidates that are not closed.
    :ivar syns: the SYN budgets of the client.
    :ivar moves: the streams of all attempts of one client that may move, the oldest first.
    :ivar turn: a lock: the attempts for one connection take turns to choose a path.
    :ivar machine: the only one of the server's addresses to contact, followed by IPv6 if
        ``is_last``; None for all, one after the other.
    :ivar found: called with all but the first of several addresses that the server's name has, in
        the order in which they are to be contacted; this attempt then contacts the first one only.
    """

    reactor: IClientReactor
    settings: Settings
    role: Role
    token: bytes
    secured: SecureAttempt | None = None
    trace: AttemptTrace = NO_TRACE
    candidates: set[Candidate] = field(default_factory=set)
    syns: Syns = field(default_factory=Syns)
    moves: dict[Move, None] = field(default_factory=dict)
    turn: DeferredLock = field(default_factory=DeferredLock)
    machine: Address | None = None
    is_last: bool = True
    found: Callable[[Sequence[Address]], object] | None = None

    def new_candidate(
        self,
        trace: CandidateTrace = NO_CANDIDATE_TRACE,
        *,
        is_relay: bool = False,
        held: bool = False,
    ) -> Candidate:
        """The arguments are those of :class:`Candidate`."""
        exchange = None if self.secured is None else self.secured.exchange(is_relay=is_relay)
        candidate = Candidate(
            self.reactor,
            self.role,
            self.token,
            trace,
            exchange=exchange,
            is_relay=is_relay,
            held=held,
        )
        self.candidates.add(candidate)
        candidate.closed.addCallback(lambda _: self.candidates.discard(candidate))
        return candidate
