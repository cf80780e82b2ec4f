"""
What is reported about a connection's path.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.path_news import tell_connected, tell_moved
from rdv.addresses import parse_address
from rdv.client.stream.connection import Connection
from rdv.test.endpoints.doubles import connection


class PathNewsTests(SynchronousTestCase):
    """A line for a person, and fields for a program."""

    def setUp(self) -> None:
        self.told: list[tuple[str, str, dict[str, object]]] = []
        self.connection: Connection
        self.connection, _ = connection()

    def tell(self, event: str, text: str = "", **fields: object) -> None:
        self.told.append((event, text, fields))

    def test_connected(self) -> None:
        """With what else there is to tell a program."""
        tell_connected(self.tell, self.connection, 0.2504, observed=None)
        fields = {"path": "p2p", "secure": False, "peer": "192.0.2.1:40112", "milliseconds": 250}
        self.assertEqual(
            self.told,
            [("connected", "CONNECTED: p2p 192.0.2.1:40112, 250ms", {**fields, "observed": None})],
        )

    def test_secure(self) -> None:
        self.patch(Connection, "is_secure", True)
        tell_connected(self.tell, self.connection, 3.0)
        self.assertEqual(self.told[0][1], "CONNECTED: p2p 192.0.2.1:40112, secure, 3000ms")
        self.assertIs(self.told[0][2]["secure"], True)

    def test_moved(self) -> None:
        """Where it goes now, and when; a person does not want so many digits."""
        for seconds, time in ((0.0, "0ms"), (0.9994, "999ms"), (1.04, "1.0s"), (29.96, "30.0s")):
            tell_moved(self.tell, self.connection, seconds)
            event, text, fields = self.told.pop()
            self.assertEqual((event, text), ("moved", f"MOVED: p2p 192.0.2.1:40112, {time}"))
            self.assertEqual(
                fields,
                {
                    "path": "p2p",
                    "peer": "192.0.2.1:40112",
                    "milliseconds": round(seconds * 1000),
                },
            )

    def test_now(self) -> None:
        """It is what the connection says at that moment."""
        self.connection.is_relay = True
        self.connection.peer_address = parse_address("198.51.100.1:443")
        tell_moved(self.tell, self.connection, 2.1)
        self.assertEqual(self.told[0][1], "MOVED: relay 198.51.100.1:443, 2.1s")
        self.assertEqual(self.told[0][2]["path"], "relay")

    def test_forward(self) -> None:
        """Of several each has a number."""
        tell_connected(self.tell, self.connection, 0.25, 7)
        tell_moved(self.tell, self.connection, 0.25, 7)
        self.assertEqual(
            [text for _, text, _ in self.told],
            ["CONNECTED 7: p2p 192.0.2.1:40112, 250ms", "MOVED 7: p2p 192.0.2.1:40112, 250ms"],
        )
        self.assertEqual([fields["forward"] for _, _, fields in self.told], [7, 7])
