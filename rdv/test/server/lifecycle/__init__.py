"""Tests of rdv.server.lifecycle."""
