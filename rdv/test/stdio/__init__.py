"""Tests of :mod:`rdv._stdio`."""
