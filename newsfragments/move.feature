A secured stream starts on the relay if there is no direct path within a round trip, and moves to a
direct path as soon as one opens, without losing a byte, if both peers support it.
``Client(move=False)``, and ``move=no`` in an endpoint description, turn it off.
