``from rdv import Client`` works, and so do ``Connection``, ``Rendezvous``, ``RendezvousResource``,
the endpoints and ``RdvError``. ``import rdv`` alone still loads nothing else.
