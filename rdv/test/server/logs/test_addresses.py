"""How much of an address a log shows."""

from __future__ import annotations

import io
from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address as TwistedAddress
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import Address
from rdv.server.logs.addresses import (
    FULL,
    NONE,
    PREFIX,
    MaskedFile,
    Masking,
    masked,
    masked_host,
)
from rdv.settings import ServerSettings

#: Text around an address.
FRAMES = (
    *(
        "{}",
        "from {}, id 7f3a9c21",
        "lost {}: reset",
        "seen at {}.",
        "({!r}, 5)",
        "added:{}",
        "key:{}",
    ),
    *('{{"observed": "{}", "id": 1}}', "http://{}/x", "<{}>", "{},{}", "[rdv#info] {} {}"),
    *("host='{}', port=5", "2026-11-30T03:11:27+0000 [x] {}", "TCP connection to {} failed…"),
)


class MaskedTests(SynchronousTestCase):
    """``masked``."""

    def test_examples(self) -> None:
        for text, network in (
            ("198.51.100.4", "198.51.100.0/24"),
            ("198.51.100.4:40112", "198.51.100.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
            ("[2001:db8:1:2::7]:443", "2001:db8:1::/48"),
            ("[2001:db8::7]", "2001:db8::/48"),
            ("::1", "::/48"),
            ("2001:db8:1:2::", "2001:db8:1::/48"),
            ("fe80::1%eth0", "fe80::/48"),
            ("::ffff:198.51.100.4", "198.51.100.0/24"),
            ("[::ffff:198.51.100.4]:80", "198.51.100.0/24"),
        ):
            for frame in FRAMES:
                if "!r" in frame:
                    frame = frame.replace("{!r}", "'{}'")
                line = frame.format(text, text)
                self.assertEqual(masked(line, PREFIX), frame.format(network, network))
                self.assertEqual(masked(line, NONE), frame.format("-", "-"))
                self.assertEqual(masked(line, FULL), line)

    def test_others(self) -> None:
        """What is no address stays what it was."""
        for text in (
            "2026-11-30T03:11:27+0000 [rdv.server.rendezvous#info] at 03:11:27",
            "Python 3.11.7, Chrome/120.0.0.0, 1.2.3.4.5, 1.2.3.4000, x1.2.3.4, 1.2.3.4x",
            "rdv.server::site, waited 2.310 s, 7f3a9c21, a:b:c, std::cafex, :, [::] [] [:",
            "1796009278.793, 12:34, 1:2:3:4:5:6:7, 2001:db8::g",
        ):
            self.assertEqual(masked(text, NONE), text.replace("[::]", "-"))

    @given(
        st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)),
        st.integers(1, 65535),
        st.sampled_from(FRAMES),
        st.booleans(),
    )
    def test_any(
        self, ip: IPv4Address | IPv6Address, port: int, frame: str, with_port: bool
    ) -> None:
        """None is left, in whatever place."""
        text = str(Address(ip, port)) if with_port else str(ip)
        self.assertNotIn(str(ip), masked(frame.format(text, text), NONE))

    @given(st.text(alphabet=":.[]%0a g", max_size=40), st.sampled_from((NONE, PREFIX)))
    def test_anything(self, text: str, detail: str) -> None:
        """Nothing is too strange; and once is enough."""
        once = masked(text, detail)
        if detail == NONE:
            self.assertEqual(masked(once, detail), once)

    def test_long(self) -> None:
        """Strangers write some of it: it takes no longer than it is long."""
        for piece in (":", "a:", "1.2.3.4.", "[", "[:", "%:", "1.", "::ffff:", "0:[:"):
            for end in ("", "g"):
                masked(piece * 20_000 + end, PREFIX)

    def test_parts(self) -> None:
        """For columns."""
        for address, detail, parts in (
            ("198.51.100.4:40112", FULL, ("198.51.100.4", "40112")),
            ("198.51.100.4:40112", PREFIX, ("198.51.100.0", "-")),
            ("[2001:db8:1:2::7]:443", FULL, ("2001:db8:1:2::7", "443")),
            ("[2001:db8:1:2::7]:443", PREFIX, ("2001:db8:1::", "-")),
            ("198.51.100.4:40112", NONE, ("-", "-")),
            ("unknown", FULL, ("-", "-")),
        ):
            self.assertEqual(masked_host(address, detail), parts)

    def test_file(self) -> None:
        """Of whatever is written, as Twisted itself writes its addresses."""
        file = io.StringIO()
        shown = MaskedFile(file, masking := Masking(PREFIX))
        shown.write(f"{TwistedAddress('TCP', '198.51.100.4', 80)!r}\n")
        shown.flush()
        line = "IPv4Address(type='TCP', host='198.51.100.0/24', port=80)\n"
        self.assertEqual(file.getvalue(), line)
        masking.use(ServerSettings(log_addresses=NONE))
        shown.write("from 198.51.100.4\n")
        self.assertEqual(file.getvalue(), f"{line}from -\n")
