"""Tests of the adapters: each against the real product and a mock of the model APIs."""
