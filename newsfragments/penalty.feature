Where the NAT of one of the peers changes ports, the relay is used after some round trips, and not
after two seconds.
