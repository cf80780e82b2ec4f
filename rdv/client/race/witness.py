"""
Decides whether the acceptor of a plain stream may trust a CONFIRM.

Any host that receives HELLO can send CONFIRM: it has just received the token. An acceptor dials all
addresses that the dialer reports, and in its own network those may belong to other hosts; and a
host that reaches its port from an address that may be the peer's also receives HELLO. There are two
kinds of witness.

The *address*: only the dialer can have an address and port that the dialer has reported, if it is
an internet address and not a private one: an IPv6 address, or the address of the host or NAT at
which the server sees the dialer. This check costs nothing. An attacker on the path can take over
such an address, but could also read and change everything sent to it.

The *relay*: the server ends it when the dialer leaves it for a direct path. On any other path, such
as one within a LAN, nothing is read from a host that has confirmed, and nothing is sent to it,
before that. If CONFIRM arrives on the relay instead, the other host was not the dialer, or its path
is dead, and the relay is used. Original dialers leave the relay immediately, rdv's once CONFIRM has
been acknowledged. This costs a trip from the dialer through the server, which is more than a round
trip in a LAN with a distant server; ``Client(witness=False)`` avoids it. If a host has confirmed
but there is no witness within the time in which a dialer would have left the relay, the host is
dropped, not trusted: the next event would be the server's timeout, which is no witness.

If two hosts confirm on such paths, one of them is not the dialer, and there is no way to know
which: neither is accepted.
"""

from __future__ import annotations

from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv._system.tcp_info import round_trip
from rdv.addresses import AddressSpace, space_of
from rdv.client.candidates.candidate import Candidate
from rdv.client.context import Context
from rdv.client.dial.targets import is_global, observed_peer
from rdv.errors import ProtocolError
from rdv.wire import Answer

__all__ = ["Witness"]

log = Logger()

#: Seconds from CONFIRM until a dialer has left the relay: rdv's keep it for 15 at most, and servers
#: end a pair that has not chosen within 30.
_LEAVES_WITHIN = 20.0
#: Maximum seconds for the arrival of a CONFIRM that was sent before the dialer left the relay.
_OVERTAKEN = 0.2
_DID_NOT_LEAVE = "it sent CONFIRM, but the dialer did not leave the relay"
_MORE_THAN_ONE = "several hosts sent CONFIRM, and only one can be the peer"
_CHOSE_THE_RELAY = "the peer chose the relay: this is another host, or its path is dead"


class Witness:
    """
    Holds connections that have confirmed, until the dialer has left the relay.

    :param relay: the candidate on which the server answered.
    :ivar confirmed: the candidates that have confirmed and need a witness.
    """

    def __init__(self, context: Context, relay: Candidate, answer: Answer) -> None:
        self._context = context
        self._named = set(answer.peer_addresses)
        observed = observed_peer(answer)
        self._observed = None if observed is None else observed.ip
        self._relay_has_ended = False
        self.confirmed: list[Candidate] = []
        relay.closed.addCallback(lambda _: self._relay_ended())

    async def believes(self, candidate: Candidate) -> None:
        """
        Wait until a candidate that has confirmed may be chosen.

        :raises ProtocolError: when it is not trusted. It is then closed.
        :raises ConnectionLost: when the connection is lost.
        """
        if self._speaks_for_itself(candidate):
            return
        candidate.transport.pauseProducing()  # further data is for the connection's final owner
        self.confirmed.append(candidate)
        if not self._relay_has_ended:
            candidate.trace.waits(_LEAVES_WITHIN, "the dialer has not left the relay yet")
            await candidate.stays(_LEAVES_WITHIN)
        if not self._relay_has_ended:
            self._refuse(candidate, _DID_NOT_LEAVE)
        await candidate.stays(self._overtaken())
        if len(self.confirmed) > 1:
            self._refuse(candidate, _MORE_THAN_ONE)
        await candidate.stays(0)  # raises if it was refused meanwhile

    def relay_confirmed(self) -> None:
        """
        The dialer has chosen the relay: a host that confirmed on another path was not the dialer.
        """
        for candidate in self.confirmed:
            self._refuse(candidate, _CHOSE_THE_RELAY)

    def _relay_ended(self) -> None:
        self._relay_has_ended = True
        for candidate in self.confirmed:
            candidate.hurry()

    def _refuse(self, candidate: Candidate, reason: str) -> None:
        if candidate.connected:
            log.warn("{peer} is not trusted: {reason}", peer=candidate.peer_address, reason=reason)
            candidate.close(Failure(ProtocolError(reason)))

    def _speaks_for_itself(self, candidate: Candidate) -> bool:
        address = candidate.peer_address
        if address not in self._named or not is_global(address.ip):
            return False
        return space_of(address.ip) is AddressSpace.PUBLIC6 or address.ip == self._observed

    def _overtaken(self) -> float:
        """
        Seconds for the arrival of a CONFIRM that was sent before the dialer ended the relay: the
        longest round trip of the established paths on which the peer has sent nothing.
        """
        silent = [
            each.transport
            for each in self._context.candidates
            if each.connected and not each.is_relay and each not in self.confirmed
        ]
        return min(_OVERTAKEN, max((round_trip(each) or 0.0 for each in silent), default=0.0))
