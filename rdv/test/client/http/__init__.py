"""Tests of :mod:`rdv.client.http`."""
