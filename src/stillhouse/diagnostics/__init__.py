"""Diagnostics: what to measure besides accuracy."""
