"""
What kind of network is this: the work of ``rdv check``.

It plays both roles itself against a server, writes down what it observes
(:mod:`rdv.check.observations`), and draws conclusions from that alone (:mod:`rdv.check.findings`,
:mod:`rdv.check.verdict`): those are functions without I/O.
"""

from rdv.check.conclusions import findings
from rdv.check.finding import Finding
from rdv.check.judgement import Verdict, verdict
from rdv.check.observations import Observations

__all__ = ["Finding", "Observations", "Verdict", "findings", "verdict"]
