"""The engine: signals, nodes, terms, stages, objectives, and how they are fitted."""
