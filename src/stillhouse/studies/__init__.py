"""Studies: many runs under one budget, compared; and the search for a student."""
