"""
``rdv check``: determines what kind of network this host is in.

It plays both roles against a server, records what it observes (:mod:`rdv.check.observations`), and
draws conclusions from that alone: functions without I/O turn it into findings and a verdict. Three
connections through the relay, one after the other, show how six new ports are mapped. On the first
two, first one side and then the other half-closes, and its peer answers. While the last one is
open, the check dials its mapping from inside, and fills the relay. One connection from a single
port uses two ports of the server, if the server names another one. Anything for which no time is
left is skipped and reported as skipped.

What can go wrong: the same address can be a NAT's or a proxy's (findings distinguish what is
certain from what is likely); others use the NAT at the same time (small steps count as a sequence);
the certificate is not trusted (the check completes the handshake anyway, to see why, but makes no
request); the server does not answer (each step has a timeout, and so does the whole check).
"""

from rdv.check.conclusions import findings
from rdv.check.judgement import Verdict, verdict
from rdv.check.observations import Observations
from rdv.check.texts import Finding

__all__ = ["Finding", "Observations", "Verdict", "findings", "verdict"]
