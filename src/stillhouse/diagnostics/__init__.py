"""Diagnostics: what to measure besides accuracy, and how sure a number is."""
