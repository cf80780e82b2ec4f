``ShortcutFactory(site)`` listens in the place of a site that has a ``RendezvousResource``, and its
clients cost much less CPU time. ``show_from`` of ``rdv.server`` spares log events that a program does
not show.
