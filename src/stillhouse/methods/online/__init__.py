"""Online distillation: no trained teacher; networks, or branches of one, that learn together."""
