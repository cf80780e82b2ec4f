"""
The report, as text and as JSON.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from rdv.check import Finding, Verdict, findings, verdict
from rdv.check.observations import Observations, StrayAnswer, Throughput
from rdv.check.report import as_json, as_text
from rdv.check.texts import Advice, Weight
from rdv.test.check.doubles import DIFFERENT, SOUND, behind, stray


class TextTests(SynchronousTestCase):
    """:func:`as_text`."""

    def test_lines(self) -> None:
        found = [
            Finding("a", Weight.GOOD, "It works."),
            Finding("b", Weight.BAD, "word " * 19 + "fifth and more."),
            Finding("c", Weight.NOTE, "[2001:db8::7]:40000-" * 6 + "."),
        ]
        concluded = Verdict("x", True, "It is so.", (Advice("y", "Do it."),))
        self.assertEqual(
            as_text(found, concluded),
            f"+ It works.\n- {'word ' * 19}\n".replace(" \n", "\n")
            + "  fifth and more.\n"
            + f"  {'[2001:db8::7]:40000-' * 6}.\n"
            "\n"
            "It is so.\n"
            "\n"
            "What to change:\n"
            "* Do it.\n",
        )

    def test_narrow(self) -> None:
        """A terminal may have less room than a page, but not more than is good to read."""
        found = [Finding("c", Weight.GOOD, "At one-of-two-servers.test it is as good as can be.")]
        concluded = Verdict("x", True, "So " * 60)
        self.assertEqual(
            as_text(found, concluded, 20).splitlines()[:4],
            ["+ At", "  one-of-two-servers.test", "  it is as good as", "  can be."],
        )
        for width, longest in ((49, 47), (100, 98), (300, 98)):
            lines = as_text([], concluded, width).splitlines()
            self.assertEqual(max(map(len, lines)), longest)

    def test_no_advice(self) -> None:
        self.assertEqual(as_text([], Verdict("x", True, "It is so.")), "\nIt is so.\n")


class JSONTests(SynchronousTestCase):
    """:func:`as_json`."""

    def described(self, observed: Observations) -> dict[str, Any]:
        text = as_json(observed, findings(observed), verdict(observed))
        self.assertTrue(text.endswith("}\n"))
        self.assertEqual(text.count("\n"), 1)
        described: dict[str, Any] = json.loads(text)
        return described

    def test_everything(self) -> None:
        observed = behind(
            **DIFFERENT,
            **stray(StrayAnswer.REFUSED, "x"),
            tls=SOUND,
            throughput=Throughput(3, 1.5),
        )
        described = self.described(observed)
        self.assertEqual((described["verdict"], described["usable"]), ("nat-random", True))
        self.assertEqual(described["advice"][0]["key"], "ipv6")
        self.assertEqual(set(described["findings"][0]), {"key", "weight", "text"})
        seen = described["observations"]
        self.assertEqual(seen["own"], [{"address": "192.168.1.2", "space": "private4"}])
        self.assertEqual((seen["source"], seen["server"]), ("192.168.1.2", "198.51.100.1:8080"))
        self.assertEqual(seen["stray"]["answer"], "refused")
        self.assertEqual(seen["stray"]["target"], "203.0.113.1:40000")
        self.assertEqual(seen["throughput"], {"bytes": 3, "seconds": 1.5, "broken": False})
        self.assertEqual(seen["tls"]["problems"], [])
        self.assertEqual(
            seen["second"]["sightings"][1], {"local_port": 40000, "observed": "203.0.113.1:6"}
        )

    def test_keys_are_stable(self) -> None:
        """Whatever was observed, or not."""
        described = self.described(Observations())
        self.assertEqual(" ".join(described), "verdict usable text advice findings observations")
        self.assertEqual(
            " ".join(sorted(described["observations"])),
            "dials direct half_close late lookup_problem other_ports own proxy relayed second "
            "server source stray throughput tls url without_proxy",
        )
