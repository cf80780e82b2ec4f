"""
An asyncio program that uses asyncio streams over rdv. Run it on one host, and on another::

    python examples/asyncio_program.py serve 'rdv:https\\://example.com/rdv:tokenFile=secret.txt'
    python examples/asyncio_program.py ask   'rdv:https\\://example.com/rdv:tokenFile=secret.txt'
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from twisted.internet import asyncioreactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.python.failure import Failure

from rdv.asyncio_streams import open_connection, start_server

# The program as it was: nothing but asyncio.


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The callback for ``asyncio.start_server``."""
    async for line in reader:
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Uses the streams that ``asyncio.open_connection`` would return."""
    writer.write(b"is anybody there?\n")
    writer.write_eof()
    print("the peer says:", (await reader.read()).decode().strip(), flush=True)
    writer.close()
    await writer.wait_closed()


# What is different now.


async def main(reactor: Any, side: str, description: str) -> None:
    """Be one of the two."""
    if side == "serve":
        await start_server(serverFromString(reactor, description), shout)
        await asyncio.Event().wait()
    else:
        await ask(*await open_connection(clientFromString(reactor, description)))


def _by_a_signal(failure: Failure) -> None:
    failure.trap(asyncio.CancelledError)


def run(reactor: Any) -> Deferred[None]:
    """Like ``asyncio.run``: a signal cancels all tasks, which can then clean up."""
    task = asyncio.ensure_future(main(reactor, *sys.argv[1:]), loop=loop)

    def stop() -> Deferred[Any]:
        tasks = asyncio.all_tasks(loop)
        for each in tasks:
            each.cancel()
        return Deferred.fromFuture(asyncio.gather(*tasks, return_exceptions=True))

    reactor.addSystemEventTrigger("before", "shutdown", stop)
    return Deferred.fromFuture(task).addErrback(_by_a_signal)


if __name__ == "__main__":
    loop = asyncio.new_event_loop()
    asyncioreactor.install(loop)  # before the reactor is imported anywhere
    from twisted.internet.task import react

    react(run)
