"""Tests of :mod:`rdv.client`."""
