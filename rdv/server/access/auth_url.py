"""
``--auth-url``: a URL of the operator's decides about each client, as with nginx's ``auth_request``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from rdv._secret_file import secret_lines
from rdv._signed_token import check_user
from rdv.addresses import host_of
from rdv.errors import RdvError
from rdv.server.access.asking import agent_for, ask, checked_url, reason_of
from rdv.server.access.door import Later, Visitor
from rdv.server.access.verdicts import Verdict, Verdicts
from rdv.server.logs.complaint import Complaint
from rdv.server.refusals import UNANSWERED, UNWANTED, bad_request

__all__ = ["AuthURL", "Turns"]

log = Logger()

#: How many requests may be open at once: in total, and for one address. Others wait. Without the
#: second limit a stranger with wrong passwords could use up all requests if refusals are slow.
AT_ONCE, OF_ONE_ADDRESS = 32, 8

_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
#: Headers of a client that are always passed on.
_PASSED = ("Authorization", "Cookie")


class AuthURL:
    """
    A check: the URL must answer with 2xx. With 401 or 403 the client is refused. With any other
    answer, or none in time, it gets a 503.

    :param url: requested with GET. The request has ``Rdv-Role`` (``dialer`` or ``acceptor``),
        ``Rdv-Token``, ``Rdv-Observed-Addr`` if it is known, ``Rdv-User`` if an earlier check has
        identified the user, and the client's ``Authorization`` and ``Cookie``. ``Rdv-User`` in the
        answer names the visitor's user.
    :param header_file: contains headers to send, one a line, which replace those of a client.
    :param passed: further headers of a client that are passed on.
    :param timeout: seconds for one request; 0 means that only the door's limit applies.
    :param keep: seconds for which an answer is reused for identical requests about clients from the
        same IP address.
    :raises RdvError: when a value is invalid, or the file cannot be read.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        header_file: str | None = None,
        passed: Sequence[str] = (),
        timeout: float = 5.0,
        keep: float = 60.0,
        agent: IAgent | None = None,
    ) -> None:
        self._clock = reactor
        self._url = checked_url(url)
        self._agent = agent_for(reactor) if agent is None else agent
        self._header_file = header_file
        self._timeout = timeout
        for name in passed:
            if not _NAME.fullmatch(name) or name.lower().startswith("rdv-"):
                raise RdvError(f"not a header that can be passed on: {name[:64]!r}")
        self._passed = [name.encode() for name in (*_PASSED, *passed)]
        self._no_verdicts = partial(Verdicts, reactor.seconds, keep)
        self._turns = Turns(AT_ONCE, OF_ONE_ADDRESS)
        self._complaint = Complaint(reactor, _complain)
        self.reload()

    def reload(self) -> None:
        """Read the headers again, and forget all answers, including those still to come."""
        file = self._header_file
        self._own = [] if file is None else [_header(file, *line) for line in secret_lines(file)]
        self._verdicts = self._no_verdicts()

    def __call__(self, visitor: Visitor) -> Later | None:
        headers = self._headers(visitor)
        key = _key(visitor, headers)
        verdict = self._verdicts.find(key)
        if verdict is None:
            return self._ask(visitor, headers, key)
        verdict.apply(visitor)
        return None

    def _headers(self, visitor: Visitor) -> list[tuple[bytes, bytes]]:
        found = [
            (b"Rdv-Role", visitor.offer.role.name.lower().encode()),
            (b"Rdv-Token", visitor.offer.token),
        ]
        if visitor.user:
            found.append((b"Rdv-User", visitor.user.encode()))
        for name in self._passed:
            found.extend((name, value) for value in visitor.header(name))
        return found

    async def _ask(self, visitor: Visitor, headers: list[tuple[bytes, bytes]], key: bytes) -> None:
        verdicts = self._verdicts
        try:
            verdict = await self._answer(visitor, headers)
        except CancelledError:  # the client has left, or the door's time is up
            raise
        except DeferredTimeout:
            self._complaint.tell(f"no answer within {self._timeout:g} s")
            raise bad_request(UNANSWERED) from None
        except Exception as error:
            self._complaint.tell(reason_of(error))
            raise bad_request(UNANSWERED) from None
        verdicts.keep(key, verdict)
        verdict.apply(visitor)

    async def _answer(self, visitor: Visitor, headers: list[tuple[bytes, bytes]]) -> Verdict:
        sent = Headers()
        for name, value in headers:
            sent.addRawHeader(name, value)
        if visitor.observed:
            sent.addRawHeader(b"Rdv-Observed-Addr", visitor.observed.encode())
        for name, value in self._own:
            sent.setRawHeaders(name, [value])
        async with self._turns.turn((visitor.ip or b"")[:8]):  # an IPv6 /64 counts as one address
            asking = Deferred.fromCoroutine(ask(self._agent, self._url, sent))
            if self._timeout:
                asking.addTimeout(self._timeout, self._clock)
            return _verdict(await asking)


def _verdict(response: IResponse) -> Verdict:
    """
    Translate a response.

    :raises RdvError: when it is neither an admission nor a refusal.
    """
    if response.code in UNWANTED:
        return Verdict(response.code)
    if not 200 <= response.code < 300:
        raise RdvError(f"status {response.code}")
    names = response.headers.getRawHeaders(b"Rdv-User", [])
    try:
        return Verdict(0, check_user(names[-1].decode()) if names and names[-1] else None)
    except ValueError as error:
        raise RdvError(f"Rdv-User: {error}") from None


def _key(visitor: Visitor, headers: list[tuple[bytes, bytes]]) -> bytes:
    said = repr((host_of(visitor.observed), headers))  # unambiguous
    return hashlib.sha256(said.encode()).digest()


def _header(file: str, number: int, line: str) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(":")
    if not colon or not _NAME.fullmatch(name) or not value.isprintable():
        raise RdvError(f"{file}, line {number}: not NAME: VALUE")
    return name.encode(), value.strip().encode()


def _complain(reason: str) -> None:
    log.critical(
        "the auth URL does not respond as it should, refusing clients: {reason}", reason=reason
    )


class Turns:
    """
    Limits how many requests run at once. Each party has its own queue, so that the requests of one
    do not delay those of others.

    :param at_once: the maximum of all parties together.
    :param of_one: the maximum of one party.
    """

    def __init__(self, at_once: int, of_one: int) -> None:
        self._all = DeferredSemaphore(at_once)
        self._of_one = of_one
        self._own: dict[bytes, DeferredSemaphore] = {}

    def __len__(self) -> int:
        """The number of parties that have a turn or wait for one."""
        return len(self._own)

    @asynccontextmanager
    async def turn(self, party: bytes) -> AsyncIterator[None]:
        """
        Wait for a turn, and hold it while the block runs.

        :param party: identifies the party. If it is empty, only the common limit applies.
        """
        if not party:
            async with self._all:
                yield
            return
        own = self._own.setdefault(party, DeferredSemaphore(self._of_one))
        await own.acquire()
        try:
            async with self._all:
                yield
        finally:
            own.release()
            if own.tokens == own.limit:  # no request has a turn, or waits for one
                del self._own[party]
