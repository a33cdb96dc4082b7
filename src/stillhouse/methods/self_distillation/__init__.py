"""Self-distillation: a network learns from itself, as it was or as it is deeper inside."""
