"""Tests of rdv.server.descriptors."""
