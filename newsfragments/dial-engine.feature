Peers behind NATs and firewalls that refuse unsolicited connection attempts, by reset or ICMP,
connect directly: refused dials are repeated from the same port within microseconds, a limited
number of times. The ports of NATs that assign them in sequence are predicted.
