"""Tests of rdv.client.reach."""
