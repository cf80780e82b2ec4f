"""Tests of rdv.client.servers."""
