"""Response knowledge: what the teacher answers."""
