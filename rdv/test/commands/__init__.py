"""Tests of :mod:`rdv.commands`."""
