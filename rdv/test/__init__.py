"""Unit tests of rdv: in memory, with a clock of their own. Run them with ``trial rdv``."""

from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail, and the examples found are printed with the failure.
settings.register_profile(
    "rdv",
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("rdv")
