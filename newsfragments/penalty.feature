If the NAT of either peer changes ports, the relay is used after a few round trips instead of two
seconds.
