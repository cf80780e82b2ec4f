"""Tests of :mod:`rdv.client.race`."""
