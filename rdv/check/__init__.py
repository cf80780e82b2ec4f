"""
What kind of network is this: the work of ``rdv check``.

It plays both roles itself against a server, writes down what it observes
(:mod:`rdv.check.observations`), and draws conclusions from that alone (:mod:`rdv.check.findings`,
:mod:`rdv.check.verdict`): those are functions without I/O.

``rdv check`` plays both roles itself and draws conclusions: pure functions from what was observed
to findings and a verdict, apart from the I/O that observes. Three meetings by the relay, one after
the other, show what becomes of six fresh ports; on the first two, one side and then the other ends
its direction and is answered (``half_close``); while the last one stands, its mapping is dialled
from inside, and the relay filled. One meeting from a single port goes by two ports of the server,
if it names another one. Whatever there is no time for is left out, and said to be.

What can go wrong: the same address can be that of a NAT or of a proxy (what is certain is told
apart from what is likely); others use the NAT meanwhile (small steps count as counted); a
certificate that nobody trusts (the handshake is made all the same, to see why, but no request);
the server answers nobody (each step has its own limit, and the whole one too).
"""

from rdv.check.conclusions import findings
from rdv.check.finding import Finding
from rdv.check.judgement import Verdict, verdict
from rdv.check.observations import Observations

__all__ = ["Finding", "Observations", "Verdict", "findings", "verdict"]
