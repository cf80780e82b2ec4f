A server that runs out of descriptors refuses new clients with 503 and ``Retry-After`` and goes on for those it has. ``rdv serve`` and ``twist rdv`` raise the limit of open files as far as they may.
