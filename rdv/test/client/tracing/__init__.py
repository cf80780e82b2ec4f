"""Tests of rdv.client.tracing."""
