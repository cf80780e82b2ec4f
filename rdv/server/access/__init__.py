"""
Access control of a standalone server, as configured: the checks for its door.

Each check is an object that is called with a ``Visitor``. It reads the files that it needs when it
is created; ``reload()`` reads them again, or raises an ``RdvError`` with one line and keeps the old
contents. Cheap checks come first. A refused client is told what it can do, but not which other
clients are admitted. Data from clients is compared in constant time; neither that data nor the
contents of the files appear in logs or errors.
"""
