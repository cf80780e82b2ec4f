"""
What kind of network is this: the work of ``rdv check``.

It plays both roles against a server, writes down what it observes (:mod:`rdv.check.observations`),
and draws conclusions from that alone: functions without I/O, to findings and a verdict. Three
connections through the relay, one after the other, show how six new ports are mapped. On the first
two, one side and then the other half-closes and is answered. While the last one is open, its
mapping is dialled from inside, and the relay is filled. One connection from a single port goes by
two ports of the server, if it names another one. Whatever there is no time for is left out, and
said to be.

What can go wrong: the same address can be that of a NAT or of a proxy (what is certain is told
apart from what is likely); others use the NAT meanwhile (small steps count as a sequence); a
certificate that nobody trusts (the handshake is made all the same, to see why, but no request);
the server answers nobody (each step has its own limit, and the whole one too).
"""

from rdv.check.conclusions import findings
from rdv.check.judgement import Verdict, verdict
from rdv.check.observations import Observations
from rdv.check.texts import Finding

__all__ = ["Finding", "Observations", "Verdict", "findings", "verdict"]
