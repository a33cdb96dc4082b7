"""Feature knowledge: what the teacher computes on the way to its answer."""
