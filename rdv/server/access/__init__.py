"""
Who may use a server of its own, as its settings say: checks for its door.

Each is an object that is called with a :class:`~rdv.server.access.door.Visitor`. What it needs it
has read from files when it was made, and ``reload()`` reads it anew, or raises an
:class:`~rdv.errors.RdvError` with one line and keeps what it had. Cheap ones are asked first. A
client that is refused is told what it can do, and nothing of who else is let in. Whatever it has
sent is compared in constant time; neither that nor what a file holds is in a log or an error.
"""
