"""Files with anything in them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from rdv.errors import BadRequest, RdvError
from rdv.server.access.bearer import BearerTokens
from rdv.server.access.door import Check
from rdv.server.access.networks import AddressLists
from rdv.server.access.token_key import TokenKeys
from rdv.test.server.access.doubles import AccessTestCase, visitor

pieces = st.sampled_from(
    ["\n", "\r", ":", "#", "/", ".", " ", "a" * 16, "10.0.0.0", "::1", "2001:db8::", "8", "64", "é"]
)
contents = st.binary(max_size=60) | st.lists(pieces, max_size=12).map("".join).map(str.encode)

KINDS: list[Callable[[str], Check]] = [
    lambda path: AddressLists([path], []),
    lambda path: AddressLists([], [path]),
    lambda path: BearerTokens([path]),
    lambda path: TokenKeys([path]),
]


class FileTests(AccessTestCase):
    """Each is read, or one line says why not; and it then admits or refuses clients."""

    @given(contents, st.sampled_from(KINDS))
    @example(b"\x00", KINDS[0])
    @example("10.0.0.0/8\u2028::/0".encode(), KINDS[0])
    @example(b"\xef\xbb\xbf10.0.0.0/8", KINDS[0])
    def test_anything(self, content: bytes, kind: Callable[[str], Check]) -> None:
        path = self.file()
        Path(path).write_bytes(content)
        try:
            check = kind(path)
        except RdvError as error:
            self.assertEqual(len(str(error).splitlines()), 1)
            self.assertIn(path, str(error))
        else:
            for one in (visitor(), visitor(observed="[2001:db8::7]:80"), visitor(observed="")):
                with contextlib.suppress(BadRequest):
                    self.assertIsNone(check(one))
