"""The engine: signals, nodes, terms, updates, stages, and how they are fitted. It knows no method."""
