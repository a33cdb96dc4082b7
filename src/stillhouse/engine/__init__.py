"""The engine: signals, nodes, terms, turns, stages, and how they are fitted. It knows no method."""
