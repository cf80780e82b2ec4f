"""Tests of :mod:`rdv.client.dial`."""
