"""Tests of rdv.server.accounting."""
