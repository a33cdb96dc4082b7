"""Ways to make a student: what it may look like before it learns."""
