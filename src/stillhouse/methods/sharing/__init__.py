"""Classifier sharing: teacher and student meet in the teacher's head."""
