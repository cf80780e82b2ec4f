"""Tests of rdv.server.closing."""
