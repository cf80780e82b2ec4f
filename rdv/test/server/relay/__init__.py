"""Tests of rdv.server.relay."""
