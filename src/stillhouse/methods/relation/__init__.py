"""Relation knowledge: how samples, or layers, stand to each other."""
