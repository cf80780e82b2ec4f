"""Tests of :mod:`rdv._flows.kernel`."""
