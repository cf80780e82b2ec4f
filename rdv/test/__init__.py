"""
Unit tests of rdv: in memory, with a clock of their own. Run them with ``trial rdv``.

Hypothesis tries few examples of each property, so that the tests are fast enough to be run often;
many if ``CI`` is set, or with ``HYPOTHESIS_PROFILE=large``.
"""

import os

from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail, and the examples found are printed with the failure.
settings.register_profile(
    "large",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("small", settings.get_profile("large"), max_examples=20)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "large" if os.environ.get("CI") else "small")
)
