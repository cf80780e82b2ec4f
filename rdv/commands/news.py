"""
How a command tells whether the server lets it wait for peers.
"""

from __future__ import annotations

from rdv._stdio.console import Console
from rdv.endpoints.standing import Tell
from rdv.errors import RdvError

__all__ = ["news_of"]


def news_of(console: Console, waiting: str, url: str, **fields: object) -> Tell:
    """
    Tells of trouble with the server, and when it is over.

    :param waiting: what a person is told when the server lets us wait for the first time.
    :param url: of the server.
    :param fields: what a program is told then, beside that.
    """
    waited = False

    def tell(error: RdvError | None) -> None:
        nonlocal waited
        if error is not None:
            console.warn("trouble", f"TROUBLE: {error}", message=str(error))
        elif waited:
            console.warn("back", f"BACK: waiting at {url} again", url=url)
        else:
            waited = True
            console.tell("waiting", waiting, url=url, **fields)

    return tell
