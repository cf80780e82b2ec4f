A secured stream begins on the relay when no direct path is there within a round trip, and moves to one
as soon as there is one, without losing a byte, if both peers can do that. ``Client(move=False)``
and ``move=no`` in the description of an endpoint turn it off.
