"""Tests of rdv.client.stream."""
