A server that runs out of descriptors refuses new clients with a 503 and ``Retry-After``, and keeps
serving existing ones. ``rdv serve`` and ``twist rdv`` raise the limit on open files as far as they
may.
