"""Adversarial: somebody learns to tell student from teacher, and the student to fool them."""
