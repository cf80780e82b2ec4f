"""Tests of :mod:`rdv.forwarding`."""
