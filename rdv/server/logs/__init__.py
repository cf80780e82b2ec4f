"""
The log of a server: how its lines look, what they tell of clients' addresses, and what an operator
is told once instead of a thousand times.

Whoever runs a server chooses one form. ``text`` is Twisted's. ``json`` is one flat object a line.
``access`` is one line of fixed columns for each pair, and all else goes to stderr as text. What
workers log has come as events, so that it looks the same.

Addresses are cut short where lines are written, and nowhere else (``addresses``): in whatever has
become text by then, be it a field, the message of somebody else's exception, or Twisted's own. So
no event needs to know about it, and none can forget it.

Nothing here waits for whoever reads: an :class:`rdv._system.terminal.Outlet` drops the lines for
which there is no room, on a full disk too.
"""
