"""Tests of rdv.server.limits."""
