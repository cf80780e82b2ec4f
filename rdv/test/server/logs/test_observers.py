"""The forms of a server's log."""

from __future__ import annotations

import io
import json
from typing import Any, cast

from twisted.logger import ILogObserver, Logger, eventFromJSON
from twisted.python import log as old_log
from twisted.trial.unittest import SynchronousTestCase

from rdv.server import EndReason, Outcome, PairRecord
from rdv.server.accounting import notes
from rdv.server.logs.addresses import FULL, PREFIX, Masking
from rdv.server.logs.observers import ACCESS, COLUMNS, JSON, TEXT, observer
from rdv.server.workers.reports import report, reported

ENDED = PairRecord(
    1.5e9,
    "7f3a9c21",
    Outcome.RELAYED,
    EndReason.IDLE,
    "a t…",
    2.31,
    0.1484,
    12,
    0,
    "203.0.113.9:39841",
    "",
    "",
    "alice b",
    None,
)


class FormTests(SynchronousTestCase):
    """``observer``, for each."""

    def begin(self, form: str, detail: str = PREFIX, worker: int | None = None) -> None:
        """Log in that form, from a worker perhaps."""
        self.file, self.aside = io.StringIO(), io.StringIO()
        here = observer(form, Masking(detail), self.file, self.aside)

        def observe(event: Any) -> None:
            here({**event, "log_time": 1.5e9} if worker is None else sent(event))

        def sent(event: Any) -> Any:
            return reported(report({**event, "log_time": 1.5e9}), cast(int, worker))

        self.log = Logger("a.module", observer=cast(ILogObserver, observe))
        self.patch(notes, "log", self.log)

    def log_failure(self) -> None:
        """Log that something failed."""
        try:
            raise RuntimeError("198.51.100.4:80 said no")
        except RuntimeError:
            self.log.failure("what {peer} asked for failed", peer="198.51.100.4:40112")

    def objects(self) -> list[dict[str, Any]]:
        """What was logged as JSON: whole lines."""
        text = self.file.getvalue()
        self.assertTrue(text.endswith("\n"))
        return [json.loads(line) for line in text.splitlines()]

    def test_text(self) -> None:
        """As Twisted has it."""
        self.begin(TEXT)
        self.log.info("it {what}", what="works")
        self.log_failure()
        first, second, *trace = self.file.getvalue().splitlines()
        self.assertRegex(first, r"^20\S+ \[a\.module#info\] it works$")
        self.assertTrue(second.endswith("what 198.51.100.0/24 asked for failed"), second)
        self.assertIn("\tbuiltins.RuntimeError: 198.51.100.0/24 said no", trace)
        self.assertEqual(self.aside.getvalue(), "")

    def test_json(self) -> None:
        """A flat object a line, whatever is in the event."""
        self.begin(JSON)
        self.log.info("it {what}", what=b"works", number=0.5, no=None, event="tried")
        self.log_failure()
        works, fails = self.objects()
        told = {"event": "tried", "time": 1.5e9, "level": "info", "source": "a.module"}
        told |= {"message": "it b'works'", "what": "b'works'", "number": 0.5, "no": None}
        self.assertEqual(works, told)
        self.assertEqual((fails["event"], fails["level"]), ("log", "critical"))
        self.assertEqual(fails["peer"], "198.51.100.0/24")
        self.assertTrue(fails["message"].endswith("RuntimeError: 198.51.100.0/24 said no\n"))

    def test_json_of_the_older_log(self) -> None:
        """Its fields are no text, and ours have other names."""
        events: list[Any] = []
        old_log.theLogPublisher.addObserver(events.append)
        self.addCleanup(old_log.theLogPublisher.removeObserver, events.append)
        old_log.msg("(TCP Port 8080 Closed)")
        self.begin(JSON)
        cast(Any, self.log.observer)({**events[0], "log_namespace": "old"})
        (line,) = self.objects()
        self.assertEqual(line["message"], "(TCP Port 8080 Closed)")
        self.assertEqual(set(line), {"event", "time", "level", "source", "message"})

    def test_json_of_a_pair(self) -> None:
        """The same from a worker, and its number."""
        for worker, more in ((None, {}), (1, {"worker": 1})):
            self.begin(JSON, worker=worker)
            notes.note_end(ENDED)
            (line,) = self.objects()
            fields = {name: line[name] for name in line if name not in ("message", "source")}
            told = {"event": "ended", "time": 1.5e9, "level": "info", "id": "7f3a9c21"}
            told |= {"outcome": "relayed", "reason": "idle", "token": "a t…", **more}
            told |= {"waited": 2.31, "lasted": 0.148, "dialer_bytes": 12, "acceptor_bytes": 0}
            told |= {"dialer_address": "203.0.113.0/24", "acceptor_address": "unknown"}
            self.assertEqual(fields, {**told, "acceptor_user": "alice b"})

    def test_access(self) -> None:
        """Pairs in columns, everything else aside."""
        head = "2017-07-14T02:40:00Z 7f3a9c21 relayed idle 2.310 0.148 12 0"
        for detail, worker, end in (
            (PREFIX, None, "203.0.113.0 - - - - alice%20b a%20t -"),
            (FULL, 1, "203.0.113.9 39841 - - - alice%20b a%20t 1"),
        ):
            self.begin(ACCESS, detail, worker)
            self.log_failure()
            notes.note_end(ENDED)
            self.assertEqual(self.file.getvalue(), f"{head} {end}\n")
            self.assertEqual(len(end.split()) + len(head.split()), len(COLUMNS))
            self.assertIn("asked for failed", self.aside.getvalue())
            self.assertEqual("198.51.100.4:40112" in self.aside.getvalue(), detail == FULL)
            self.assertNotIn("relayed", self.aside.getvalue())

    def test_token_is_never_whole(self) -> None:
        """Nor is there anything in it that is not a word of its own."""
        for form in (TEXT, JSON, ACCESS):
            self.begin(form)
            notes.note_end(ENDED._replace(token="\\n\\t…", dialer_user="x\ny"))
            self.assertEqual(self.file.getvalue().count("\n"), 1)

    def test_event_from_elsewhere(self) -> None:
        """Without a time or a level."""
        self.begin(JSON)
        here = observer(JSON, Masking(PREFIX), self.file)
        here(eventFromJSON('{"log_format": "hello"}'))
        (line,) = self.objects()
        self.assertEqual((line["message"], line["level"], line["time"]), ("hello", "info", 0.0))
