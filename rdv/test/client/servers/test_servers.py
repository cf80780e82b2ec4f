"""
Which of several servers is asked first.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv import Secret
from rdv.addresses import parse_address
from rdv.client import rank_servers
from rdv.client.order import address_order
from rdv.client.parsing import parse_server_url
from rdv.client.servers.urls import canonical, parse_servers, split_servers
from rdv.errors import BadURL

A, B, C = (f"https://{name}.example/rdv" for name in "abc")
TOKENS = st.text("abcdefgh0123456789", min_size=1, max_size=20)
NUMBERS = st.lists(st.integers(0, 99), min_size=2, max_size=12, unique=True)


def fleet(count: int) -> list[str]:
    """So many servers."""
    return [f"https://s{number}.example/rdv" for number in range(count)]


class RankTests(SynchronousTestCase):
    """An order that both peers come to."""

    def test_vectors(self) -> None:
        """Those of the protocol's page."""
        for token, order in (
            ("5f0c6a4e-0d0f-4a51-8b5e-3f1f1b8d2c11", [C, B, A]),
            ("MY_TOKEN", [A, B, C]),
            ("schl\xfcssel", [C, A, B]),
        ):
            self.assertEqual(rank_servers(token, [A, B, C]), order)
            self.assertEqual(rank_servers(token, [C, B, A]), order)

    def test_secret(self) -> None:
        """By what of it the server is told."""
        secret = Secret.generate()
        order = rank_servers(secret, fleet(50))
        self.assertEqual(rank_servers(secret.reveal(), fleet(50)), order)
        self.assertEqual(rank_servers(secret.server_token, fleet(50)), order)

    @given(TOKENS, NUMBERS)
    def test_one_less(self, token: str, numbers: list[int]) -> None:
        """The others keep their order."""
        urls = [f"https://s{number}.example/rdv" for number in numbers]
        order = rank_servers(token, urls)
        for url in urls:
            less = rank_servers(token, [each for each in urls if each != url])
            self.assertEqual(less, [each for each in order if each != url])

    def test_balance(self) -> None:
        firsts = Counter(rank_servers(f"token {number}", fleet(4))[0] for number in range(1000))
        self.assertEqual(len(firsts), 4)
        self.assertTrue(all(200 < count < 300 for count in firsts.values()), firsts)


class NameTests(SynchronousTestCase):
    """One server has one name."""

    def test_same(self) -> None:
        for first, *others in (
            (
                "http://example.com:80/",
                "HTTP://Example.COM",
                "http://example.com./",
                "http://example.com?a=b",
            ),
            (
                "https://example.com:443/rdv",
                "https://example.com/rdv#x",
                "https://example.com/a/../rdv",
            ),
            ("http://h:80/~u/%C3%A9", "http://h/%7eu/%c3%a9", "http://h/~u/\xe9"),
            ("https://xn--bcher-kva.example:443/", "https://b\xfccher.example"),
            ("http://[2001:db8::7]:8080/rdv", "http://[2001:DB8:0::7]:8080/rdv"),
            ("http://192.0.2.1:80/", "http://[::ffff:192.0.2.1]"),
        ):
            for text in (first, *others):
                self.assertEqual(canonical(parse_server_url(text)), first)

    def test_different(self) -> None:
        names = {
            canonical(parse_server_url(text))
            for text in ("http://h", "https://h", "http://h:8080", "http://h/rdv", "http://h/rdv/")
        }
        self.assertEqual(len(names), 5)


class ListTests(SynchronousTestCase):
    """What people write."""

    def test_split(self) -> None:
        for text, parts in (
            (A, [A]),
            (f"{A},{B}", [A, B]),
            (f" {A} , {B},HTTP://c/ ", [A, B, "HTTP://c/"]),
            ("http://h/a,b", ["http://h/a,b"]),
            ("a,b", ["a,b"]),
            ("", [""]),
        ):
            self.assertEqual(split_servers(text), parts)

    def test_each_once(self) -> None:
        urls = parse_servers([B, A, f"{B}?x=1", A.upper().replace("/RDV", "/rdv")])
        self.assertEqual([url.to_text() for url in urls], [B, A])

    def test_wrong(self) -> None:
        wrong: list[tuple[Any, type[Exception]]] = [
            ([], BadURL),
            (fleet(9), BadURL),
            ([A, "b"], BadURL),
            ([A, None], TypeError),
            (None, TypeError),
            (7, TypeError),
        ]
        for given_, error in wrong:
            self.assertRaises(error, parse_servers, given_)


class AddressTests(SynchronousTestCase):
    """The addresses of one name."""

    def order(self, token: str, *texts: str) -> list[str]:
        return [
            str(each) for each in address_order(token.encode(), list(map(parse_address, texts)))
        ]

    def test_any_order(self) -> None:
        """However the resolver turns them."""
        texts = [f"192.0.2.{number}:443" for number in range(1, 5)]
        orders = {tuple(self.order(token, *texts)) for token in "abcdefgh"}
        self.assertGreater(len(orders), 3)
        for token in "abcdefgh":
            for turn in range(4):
                turned = texts[turn:] + texts[:turn]
                self.assertEqual(self.order(token, *turned), self.order(token, *texts))

    def test_vector(self) -> None:
        texts = ["192.0.2.1:443", "192.0.2.2:443", "192.0.2.3:443"]
        second, first, third = texts
        self.assertEqual(self.order("MY_TOKEN", *texts), [first, second, third])

    def test_spaces_stay(self) -> None:
        """A private address beside a public one is another way to the same machine."""
        for token in "abcdefgh":
            order = self.order(token, "10.0.0.1:80", "192.0.2.1:80", "10.0.0.2:80")
            self.assertEqual(order[2], "192.0.2.1:80")
            order = self.order(token, "192.0.2.1:80", "10.0.0.2:80", "10.0.0.1:80")
            self.assertEqual(order[0], "192.0.2.1:80")
