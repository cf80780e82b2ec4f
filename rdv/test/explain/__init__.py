"""Tests of :mod:`rdv.explain`."""
