With ``--no-relay``, a server introduces peers to each other without relaying. Clients report if
there is no direct path, and fail immediately if they could only be relayed.
