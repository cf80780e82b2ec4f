"""A client as a message, and a message over real sockets."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv._signed_token import MAX_USER
from rdv.addresses import format_addresses, parse_address
from rdv.errors import ProtocolError
from rdv.server.passing.message import (
    MAX_MESSAGE,
    PassedClient,
    decode,
    encode,
    inbox_pair,
    receive,
    refuse,
    send,
)
from rdv.server.refusals import BUSY
from rdv.test.sockets import open_descriptors, tcp_pair
from rdv.wire import MAX_TOKEN, Role

CLIENT = PassedClient(Role.DIALER, b"token", "192.0.2.1:7", "[2001:db8::7]:80")
LONGEST = parse_address("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")
USERS = (None, "alice", "Ünïcode: 7", "x" * MAX_USER)

tokens = (
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=50)
    .filter(lambda text: text == text.strip(" "))
    .map(str.encode)
)
addresses = st.sampled_from(["", "1.2.3.4:5", "1.2.3.4:5, [2001:db8::7]:80"])


class CodecTests(SynchronousTestCase):
    """``encode`` and ``decode``."""

    @given(st.sampled_from(Role), tokens, addresses, addresses, st.sampled_from(USERS))
    def test_there_and_back(
        self, role: Role, token: bytes, own: str, observed: str, user: str | None
    ) -> None:
        client = PassedClient(role, token, own, observed, user, 0xFEDCBA98, 12.375)
        self.assertEqual(decode(encode(client)), client)

    @given(st.binary(max_size=40) | st.lists(st.binary(max_size=9)).map(b"\n".join))
    def test_anything(self, data: bytes) -> None:
        """It is refused, or makes some sense."""
        with contextlib.suppress(ProtocolError):
            client = decode(data)
            self.assertEqual(decode(encode(client)), client)

    def test_other_versions(self) -> None:
        """One that says less, and one that says more."""
        client = PassedClient(Role.DIALER, b"token", "", "1.2.3.4:5", "alice")
        self.assertEqual(decode(b"DIAL\n\n1.2.3.4:5\nalice\ntoken"), client)
        more = decode(b"DIAL\t1f\t2.5\tnews\tof 2031\n\n1.2.3.4:5\nalice\ntoken")
        self.assertEqual(more, client._replace(id=0x1F, waited=2.5))

    def test_nonsense(self) -> None:
        for message in (
            b"",
            b"DIAL",
            b"DIAL\n\n\n\n",
            b"DIAL\n\n\ntoken",
            b"GET\n\n\n\ntoken",
            b"DIAL\n\xff\n\n\ntoken",
            b"DIAL\n\n\xff\n\ntoken",
            b"DIAL\n\n\n\xff\ntoken",
            b"DIAL\n\n\na\tb\ntoken",
            b"DIAL\n\n\n" + b"x" * (MAX_USER + 1) + b"\ntoken",
            b"DIAL\n\n\n\nto\nken",
            b"DIAL\tx\n\n\n\ntoken",
            b"DIAL\t1\tx\n\n\n\ntoken",
            b"DIAL\t1\tnan\n\n\n\ntoken",
            b"DIAL\t1\tinf\n\n\n\ntoken",
            b"DIAL\t1\t-1\n\n\n\ntoken",
            b"DIAL\t-1\n\n\n\ntoken",
            b"DIAL\n\n\n\n" + b"x" * (MAX_TOKEN + 1),
            b"DIAL\n" + b"1" * MAX_MESSAGE + b"\n\n\ntoken",
        ):
            self.assertRaises(ProtocolError, decode, message)


class SocketTests(SynchronousTestCase):
    """``send``, ``receive`` and ``refuse``."""

    if sys.platform != "linux":
        skip = "counts descriptors in /proc"

    def setUp(self) -> None:
        self.inbox, self.outbox = inbox_pair()
        self.client, self.server = tcp_pair()
        for sock in (self.inbox, self.outbox, self.client, self.server):
            self.addCleanup(sock.close)
        self.before = open_descriptors()

    def test_connection(self) -> None:
        """It is the same one, and stays when the sender has closed its own descriptor."""
        send(self.outbox, encode(CLIENT), self.server)
        self.server.close()
        message, sock = receive(self.inbox)
        self.assertEqual(decode(message), CLIENT)
        assert sock is not None
        with sock:
            self.assertFalse(sock.get_inheritable())
            self.assertEqual(sock.getpeername(), self.client.getsockname())
            self.client.sendall(b"ping")
            sock.settimeout(10)
            self.assertEqual(sock.recv(4), b"ping")
            sock.sendall(b"pong")
            self.assertEqual(self.client.recv(4), b"pong")
        self.assertEqual(self.client.recv(1), b"")
        self.assertEqual(open_descriptors(), self.before - 1)

    def test_longest(self) -> None:
        """Whatever a request may hold has room, in one piece, and at least some of them at once."""
        long = PassedClient(
            Role.ACCEPTOR,
            b"x" * MAX_TOKEN,
            format_addresses([LONGEST] * 9),
            str(LONGEST),
            "x" * MAX_USER,
        )
        self.assertEqual(decode(encode(long)), long)
        for _ in range(4):
            send(self.outbox, encode(long), self.server)
        for _ in range(4):
            message, sock = receive(self.inbox)
            self.assertEqual(decode(message), long)
            assert sock is not None
            sock.close()
        self.assertRaises(BlockingIOError, receive, self.inbox)
        self.assertEqual(open_descriptors(), self.before)

    def test_nonsense(self) -> None:
        """The descriptor of a message that is too long, or of something else, is closed."""
        send(self.outbox, b"x" * (MAX_MESSAGE + 1), self.server)
        with open(os.devnull, "rb") as file:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))
            self.outbox.sendmsg([encode(CLIENT)], [rights])
        for _ in range(2):
            self.assertRaises(ProtocolError, receive, self.inbox)
        self.assertEqual(open_descriptors(), self.before)

    def test_no_descriptor_left(self) -> None:
        """The connection is lost, but not the message."""
        from resource import RLIMIT_NOFILE, getrlimit, setrlimit

        send(self.outbox, encode(CLIENT), self.server)
        soft, hard = getrlimit(RLIMIT_NOFILE)
        with open(os.devnull, "rb") as file:  # its number is the lowest that is free
            setrlimit(RLIMIT_NOFILE, (file.fileno() + 1, hard))
            try:
                received = receive(self.inbox)
            finally:
                setrlimit(RLIMIT_NOFILE, (soft, hard))
        self.assertEqual(received, (encode(CLIENT), None))

    def test_refuse_who_is_gone(self) -> None:
        linger = b"\1\0\0\0\0\0\0\0"
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.client.close()
        refuse(self.server, *BUSY)
        self.assertEqual(self.server.fileno(), -1)
