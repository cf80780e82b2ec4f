"""Tests of :mod:`rdv.testing`."""
