"""
Which client gives way to which.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import network_of
from rdv.server.meeting.crowds import Crowds

ONE, OTHER, THIRD = map(network_of, ("192.0.2.1", "192.0.2.2", "192.0.2.3"))
#: Three networks of one site, and one of another.
HERE, NEAR, THERE, AWAY = map(
    network_of, ("2001:db8:7:1::1", "2001:db8:7:2::1", "2001:db8:7:3::1", "2001:db8:8::1")
)
NOWHERE = b""


class CrowdsTests(SynchronousTestCase):
    def crowds(self, *networks: bytes) -> Crowds[int]:
        """Members 0, 1 and so on, from there."""
        return Crowds(enumerate(networks))

    def test_youngest_of_most(self) -> None:
        """Whatever the others are, and in whichever order they came."""
        crowds = self.crowds(ONE, OTHER, OTHER, ONE, OTHER, HERE)
        self.assertEqual(crowds.yielding(AWAY), 4)
        crowds.discard(4)
        crowds.discard(1)
        self.assertEqual(crowds.yielding(AWAY), 3)

    def test_two_more(self) -> None:
        """Nobody gives way to one who would have as many then as he has left."""
        crowds = self.crowds(ONE, ONE, OTHER)
        self.assertIsNone(crowds.yielding(OTHER))
        self.assertIsNone(crowds.yielding(ONE))
        self.assertEqual(crowds.yielding(THIRD), 1)
        crowds.add(3, ONE)
        self.assertEqual(crowds.yielding(OTHER), 3)

    def test_site(self) -> None:
        """Where no network has more than others a /48 does; not where one has."""
        crowds = self.crowds(AWAY, HERE, NEAR, ONE)
        self.assertEqual(crowds.yielding(OTHER), 2)
        self.assertEqual(crowds.yielding(THIRD), 2)
        self.assertIsNone(crowds.yielding(THERE))
        crowds.add(4, ONE)
        self.assertEqual(crowds.yielding(OTHER), 4)

    def test_many_of_a_site(self) -> None:
        """A site with one client in each of its networks puts nobody out of another one."""
        crowds = self.crowds(ONE, ONE, HERE, NEAR)
        self.assertIsNone(crowds.yielding(THERE))
        self.assertEqual(crowds.yielding(AWAY), 1)
        crowds.discard(1)
        self.assertIsNone(crowds.yielding(THERE))
        self.assertEqual(crowds.yielding(AWAY), 3)
        crowds.add(4, NEAR)
        self.assertEqual(crowds.yielding(THERE), 4)

    def test_nowhere(self) -> None:
        """It neither gives way nor is given way to, and is not known."""
        crowds = self.crowds(NOWHERE, NOWHERE, NOWHERE, ONE, ONE)
        self.assertIsNone(crowds.yielding(NOWHERE))
        crowds.discard(0)
        crowds.discard(4)
        self.assertIsNone(crowds.yielding(OTHER))

    @given(
        st.lists(st.sampled_from([ONE, OTHER, THIRD, HERE, NEAR, AWAY, NOWHERE]), max_size=30),
        st.lists(st.sampled_from([ONE, OTHER, THIRD, HERE, NEAR, THERE, NOWHERE]), max_size=30),
        st.data(),
    )
    def test_any(self, there: list[bytes], coming: list[bytes], data: st.DataObject) -> None:
        """
        Members come in a full lobby, and some leave. Who gives way is the youngest of a network
        that has two more than the comer's, and most of all, unless that is of another site that has
        not two more; or else of the site that has most.
        """
        crowds, left = self.crowds(*there), dict(enumerate(there))
        for number, network in enumerate(coming, len(there)):
            leaves = data.draw(st.booleans())
            if left and leaves:
                gone = data.draw(st.sampled_from(sorted(left)))
                crowds.discard(gone)
                del left[gone]
            member = crowds.yielding(network)
            known = [each for each in left.values() if each]
            sizes = Counter(known), Counter(each[:6] for each in known)
            most = [max(each.values(), default=0) for each in sizes]
            needed = [sizes[0][network] + 2, sizes[1][network[:6]] + 2]
            if not network or (most[0] < needed[0] and most[1] < needed[1]):
                self.assertIsNone(member)
                continue
            if member is None:
                self.assertLess(most[1], needed[1])
                continue
            own = left[member]
            is_near = own[:6] == network[:6]
            level = 0 if sizes[0][own] == most[0] >= needed[0] else 1
            if level == 0:
                level = 0 if is_near or sizes[1][own[:6]] >= needed[1] else 1
            length = (8, 6)[level]
            key = left[member][:length]
            self.assertEqual(sizes[level][key], most[level])
            alike = [each for each, place in left.items() if place[:length] == key]
            self.assertEqual(member, max(alike))
            crowds.discard(member)
            del left[member]
            crowds.add(number, network)
            left[number] = network
