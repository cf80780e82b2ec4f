"""
The log of a server: its formats, how much of client addresses it shows, and summaries of frequent
events.

The operator chooses one format. ``text`` is Twisted's. ``json`` is one flat object per line.
``access`` is one line of fixed columns per pair, and everything else goes to stderr as text.
Workers send their log events to the parent as events, so they look the same.

Addresses are truncated where lines are written, and nowhere else (``addresses``): in everything
that has become text by then, whether a field, the message of a foreign exception, or Twisted's own.
No event needs to know about it, and none can forget it.

Nothing here waits for the reader: an :class:`rdv._system.terminal.Outlet` drops lines for which
there is no room, on a full disk too.
"""
