"""
stdin and stdout moved by the kernel, past the transport that has copied so far. Linux only.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from twisted.internet.interfaces import IPushProducer
from twisted.internet.tcp import Connection

from rdv._flows.kernel.descriptor import End
from rdv._flows.kernel.download import Download
from rdv._flows.kernel.takeover import Splicer, is_plain
from rdv._flows.kernel.upload import FileUpload, Upload
from rdv._flows.sinks import Sink
from rdv._flows.sources import Consumer, Ended, Source

__all__ = ["Shortcut"]


class Shortcut:
    """
    What the two directions of a stream share: a transport's socket in a watcher.

    The transport stays what it is to everybody else: it ends writing, and it reports the end of
    reading, and a loss. A direction with a terminal goes on through it.

    Create it with :meth:`past`.
    """

    def __init__(self, splicer: Splicer, transport: Connection, end: End) -> None:
        self._splicer = splicer
        self._transport = transport
        self._end = end
        self._upload: Upload | FileUpload | None = None
        self._download: Download | None = None

    @classmethod
    def past(cls, splicer: Splicer, transport: object) -> Shortcut | None:
        """None when there is none, as with TLS: then bytes go on through the transport."""
        if not is_plain(transport):
            return None
        end = splicer.end_of(transport)
        try:
            end.want(0)
        except OSError:  # no descriptor left for an epoll
            end.forget()
            return None
        return cls(splicer, transport, end)

    @property
    def sent(self) -> int:
        """Bytes that the kernel has moved to the socket."""
        return 0 if self._upload is None else self._upload.count

    @property
    def received(self) -> int:
        """Bytes that the kernel has moved from the socket."""
        return 0 if self._download is None else self._download.count

    def send(self, source: Source, consumer: Consumer, ended: Ended) -> None:
        """Take over from a source that has been started with ``consumer`` and ``ended``."""
        mode = os.fstat(source.fd).st_mode
        if stat.S_ISREG(mode) or stat.S_ISBLK(mode):
            self._upload = FileUpload(source, self._transport, self._end, consumer, ended)
        elif stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            with suppress(OSError):  # it goes on as before
                self._upload = Upload(self._splicer, source, self._transport, self._end, ended)

    def receive(self, sink: Sink, producer: IPushProducer) -> None:
        """Take over from a sink that has been started with ``producer``."""
        if not os.isatty(sink.fd):
            with suppress(OSError):  # as well
                self._download = Download(self._splicer, sink, self._transport, self._end)
        if self._download is not None:
            self._download.begin(producer)

    def stop_receiving(self) -> None:
        """The transport has come to the end."""
        if self._download is not None:
            self._download.stop()

    def close(self) -> None:
        """Move nothing more, and leave the socket alone."""
        self._end.forget()
        self.stop_receiving()
        if self._upload is not None:
            self._upload.stop()
