"""Networks of sentences: they read tokens and a mask of those that are no filling."""
