"""Where data comes from: one file per source, each gives a `Found`; `find` tells which is meant."""
