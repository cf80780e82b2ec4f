"""Tests of :mod:`rdv.check`."""
