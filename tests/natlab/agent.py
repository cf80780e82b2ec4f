"""
A peer that meets others again and again: ``python -m tests.natlab.agent``.

It reads one JSON object a line from stdin::

    {"role": "dial", "url": "http://...", "token": "...", "timeout": 20, "patience": 5,
     "settle": 0, "options": {"penalty": 1.0}}

``timeout`` is in seconds, for the connection; ``patience`` likewise, for each message after that;
``settle`` likewise, behind the last message, for a stream that may still move to a direct path;
``options`` are keywords of :class:`rdv.client.Client`, and ``half_dead_within``, the round trip in
seconds up to which an acceptor looks whether what it says gets through. For each it writes one JSON
object to stdout, the fields of :class:`tests.natlab.report.Report`; at the start it says
``{"ready": true}``. When stdin ends, it ends.
"""

from __future__ import annotations

import json
import time
from typing import Any, cast

from twisted.internet import interfaces
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import react
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from rdv.addresses import Address, AddressSpace, parse_address, parse_ip
from rdv.client import Client, Connection, IPathListener
from rdv.client.candidates import acknowledgement
from tests.natlab.messages import Exchange
from tests.natlab.report import Report


@implementer(interfaces.IHalfCloseableProtocol, IPathListener)
class Conversation(Protocol):
    """
    The application of one connection.

    :param settle: seconds that it waits for a direct path when all has been said.
    :ivar ended: fires when the connection is closed.
    """

    def __init__(
        self,
        clock: interfaces.IReactorTime,
        report: Report,
        patience: float,
        settle: float = 0.0,
    ) -> None:
        self._report = report
        self._settle = settle
        self._exchange = Exchange()
        self._patience = patience
        self._clock = clock
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self._timer = self._clock.callLater(self._patience, self._give_up)
        self.transport.write(self._exchange.begin())

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        if self._report.first_byte is None:
            self._report.first_byte = time.monotonic()
        self._timer.reset(self._patience)
        try:
            answer = self._exchange.take(data)
        except ValueError as error:
            self._report.error = str(error)
            self.transport.loseConnection()
            return
        if answer:
            self.transport.write(answer)
        if self._exchange.complete:
            if self._settle and cast(Connection, self.transport).may_move:
                self._timer.reset(self._settle)
            else:
                self._end()

    def _end(self) -> None:
        cast(interfaces.ITCPTransport, self.transport).loseWriteConnection()

    def path_changed(self) -> None:
        """See :class:`IPathListener`."""
        if not cast(Connection, self.transport).is_relay:
            self._report.direct = time.monotonic()
            if self._exchange.complete and self._settle:
                self._end()

    def readConnectionLost(self) -> None:
        """The other side has said everything."""
        assert self.transport is not None
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing to do: it was us."""

    def _give_up(self) -> None:
        assert self.transport is not None
        if self._exchange.complete and self._settle:
            self._settle = 0.0
            self._timer = self._clock.callLater(self._patience, self._give_up)
            self._end()
            return
        self._report.error = (
            f"nothing more came for {self._patience:g} s, after {self._exchange.received} messages"
        )
        cast(interfaces.ITCPTransport, self.transport).abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._timer.active():
            self._timer.cancel()
        self._report.complete = self._exchange.complete and not self._report.error
        if not self._report.complete and not self._report.error:
            self._report.error = f"the connection broke: {reason.getErrorMessage()}"
        self.ended.callback(None)


def client_options(options: dict[str, Any]) -> dict[str, Any]:
    """Keywords for :class:`Client` from what JSON can say."""
    found = dict(options)
    if "spaces" in found:
        space = AddressSpace.NONE
        for name in found["spaces"]:
            space |= AddressSpace[name.upper()]
        found["spaces"] = space
    if "self_addresses" in found:
        texts = found["self_addresses"]
        found["self_addresses"] = lambda port: [_own_address(text, port) for text in texts]
    return found


def _own_address(text: str, port: int) -> Address:
    """``1.2.3.4``, to which the port belongs, or ``1.2.3.4:5``."""
    try:
        return Address(parse_ip(text), port)
    except ValueError:
        return parse_address(text)


class Agent(LineOnlyReceiver):
    """Carries out commands, one after the other."""

    delimiter = b"\n"
    MAX_LENGTH = 1 << 20

    def __init__(self, the_reactor: Any) -> None:
        self._reactor = the_reactor
        self.gone: Deferred[None] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        Deferred.fromCoroutine(self._obey(json.loads(line))).addErrback(self._broken)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)

    def _broken(self, failure: Failure) -> None:
        self._say({"error": failure.getTraceback()})

    def _say(self, what: dict[str, Any]) -> None:
        self.sendLine(json.dumps(what).encode())

    async def _obey(self, command: dict[str, Any]) -> None:
        report = Report()
        options = client_options(command["options"])
        within = options.pop("half_dead_within", acknowledgement._HALF_DEAD_WITHIN)
        acknowledgement._HALF_DEAD_WITHIN = within
        client = Client(self._reactor, **options)
        connect = client.dial if command["role"] == "dial" else client.accept
        report.called = time.monotonic()
        try:
            connection: Connection = await connect(
                command["url"], command["token"], timeout=command["timeout"]
            )
        except Exception as error:
            report.error = f"{type(error).__name__}: {error}"
        else:
            report.connected = time.monotonic()
            report.is_relay = connection.is_relay
            report.peer = str(connection.peer_address)
            if not report.is_relay:
                report.direct = report.connected
            conversation = Conversation(
                self._reactor, report, command["patience"], command["settle"]
            )
            connection.attach(conversation)
            await conversation.ended
        self._say(vars(report))


def run(the_reactor: Any) -> Deferred[None]:
    """Until stdin ends."""
    agent = Agent(the_reactor)
    StandardIO(agent, reactor=the_reactor)
    agent._say({"ready": True})
    return agent.gone


if __name__ == "__main__":
    react(run)
