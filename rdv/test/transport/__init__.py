"""Tests of :mod:`rdv._transport`."""
