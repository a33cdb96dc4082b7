"""Texts: read from tables, cut into tokens, and served as signals."""
