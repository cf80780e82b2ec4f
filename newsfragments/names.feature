``from rdv import Client``, and ``Connection``, ``Rendezvous``, ``RendezvousResource``, the endpoints and
``RdvError`` likewise. ``import rdv`` alone still loads nothing else.
