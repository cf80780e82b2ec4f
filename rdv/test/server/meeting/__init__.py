"""Tests of rdv.server.meeting."""
