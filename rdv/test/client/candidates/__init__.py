"""Tests of rdv.client.candidates."""
