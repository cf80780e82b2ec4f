"""Health checks at the public ports."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent

from rdv.server.descriptors import budget
from rdv.server.site.parts import make_site
from rdv.settings import ServerSettings
from rdv.test.doubles import present
from rdv.test.server.descriptors.test_budget import FIRST, Numbered, limit_descriptors
from rdv.test.server.doubles import Answer, WebTestCase, request

CHECKS = (b"/healthz", b"/readyz")


class HealthTests(WebTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve()

    def serve(self, path: str = "/", health_path: str = "/") -> None:
        """Begin anew, at these paths."""
        settings = ServerSettings(path=path, health_path=health_path)
        site = make_site(self.clock, settings, self.rendezvous)
        self.site = self.factory = site
        self.health = present(site.health)

    def check(self, path: bytes, method: bytes = b"GET") -> tuple[int, str]:
        """Status and body of the answer."""
        head = b"%s %s HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n" % (method, path)
        browser = self.browse(head)
        if method == b"HEAD":
            top, _, body = browser.received.partition(b"\r\n\r\n")
            self.assertIn(b"\r\nContent-Length: ", top)
            self.assertEqual(body, b"")
            return int(top.split()[1]), ""
        answer = browser.answer()
        self.assertEqual(answer.headers.get("content-type"), "text/plain; charset=utf-8")
        return answer.status, answer.body

    def check_both(self) -> list[tuple[int, str]]:
        """Whether it lives, and whether it is ready."""
        return [self.check(path) for path in CHECKS]

    def test_ok(self) -> None:
        """One word; a query changes nothing. Balancers that speak HTTP/1.0 get it as well."""
        self.assertEqual(self.check_both(), [(200, "ok\n")] * 2)
        self.assertEqual(self.check(b"/readyz?verbose=1"), (200, "ok\n"))
        self.assertEqual([self.check(path, b"HEAD") for path in CHECKS], [(200, "")] * 2)
        answer = Answer(self.browse(b"GET /readyz HTTP/1.0\r\n\r\n").received)
        self.assertEqual((answer.status, answer.body), (200, "ok\n"))
        self.assertEqual(answer.headers["cache-control"], "no-store")

    def test_nothing_is_logged(self) -> None:
        """Of a check; but of who asks for anything else."""
        with capturedLogs() as events:
            self.check_both()
            self.check(b"/readyz", b"HEAD")
            self.assertEqual(events, [])
            self.check(b"/elsewhere")
        self.assertIn("GET /elsewhere", str(formatEvent(events[0])))

    def test_draining(self) -> None:
        """It takes nobody, but to start it anew would help nobody."""
        self.rendezvous.close(10.0)
        self.assertEqual(self.check_both(), [(200, "ok\n"), (503, "draining\n")])
        self.assertEqual(self.check(b"/readyz", b"HEAD"), (503, ""))

    def test_full(self) -> None:
        """The check itself has got a descriptor that is nobody's place. It is no complaint."""
        events = limit_descriptors(self)
        number = FIRST - 1
        self.patch(budget, "socket_of", lambda transport: Numbered(number))
        self.assertEqual(self.check(b"/readyz"), (200, "ok\n"))
        number = FIRST
        self.assertEqual(self.check_both(), [(200, "ok\n"), (503, "full\n")])
        # Or of too many connections that wait.
        number = FIRST - 1
        self.patch(self.rendezvous.present.lobby.__class__, "__len__", lambda lobby: FIRST)
        self.assertEqual(self.check(b"/readyz"), (503, "full\n"))
        # But if most of them belong to one network, others find room.
        lobby = self.rendezvous.present.lobby
        self.patch(lobby.__class__, "yielding", lambda lobby, network: object())
        self.assertEqual(self.check(b"/readyz"), (200, "ok\n"))
        self.assertEqual(events, [])

    def test_hanging(self) -> None:
        """Of several workers one does not answer: that is for both to know."""
        self.health.hanging = True
        self.assertEqual(self.check_both(), [(503, "hanging\n")] * 2)
        self.rendezvous.close(10.0)
        self.assertEqual(self.check(b"/readyz"), (503, "draining\n"))
        self.health.hanging = False
        self.assertEqual(self.check(b"/healthz"), (200, "ok\n"))

    def test_an_offer_stays_one(self) -> None:
        """Where any path is a rendezvous those are, too."""
        for path in CHECKS:
            self.browse(request(path=path, rdv_token=path))
        self.assertEqual(self.rendezvous.waiting, 2)
        self.assertEqual(self.check(b"/", b"OPTIONS")[0], 426)
        self.assertEqual(self.check(b"/readyz", b"POST")[0], 426)

    def test_beside_another_path(self) -> None:
        """They need not be below that of the rendezvous."""
        self.serve(path="/rdv")
        self.assertEqual(self.check_both(), [(200, "ok\n")] * 2)
        browser = self.browse(request(path=b"/readyz"))
        self.assertEqual(browser.answer().status, 404)
        self.assertEqual(self.rendezvous.waiting, 0)

    def test_elsewhere(self) -> None:
        self.serve(path="/rdv", health_path="rdv/state/")
        self.assertEqual(self.check(b"/rdv/state/readyz"), (200, "ok\n"))
        self.serve(health_path="")
        for path in CHECKS:
            self.assertEqual(self.check(path)[0], 426)

    def test_again(self) -> None:
        """On one connection."""
        browser = self.browse()
        for _ in range(3):
            self.send(browser, b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(browser.answer().body, "ok\n")
        present(browser.transport).loseConnection()
