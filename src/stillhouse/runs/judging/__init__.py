"""What became of the networks of a run: scores, likeness to the teacher, products, the verdict."""
