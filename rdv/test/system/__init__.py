"""Tests of :mod:`rdv._system`."""
