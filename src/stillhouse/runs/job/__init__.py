"""The facts of a run, frozen: its networks, its data, its method, how its stages are composed."""
