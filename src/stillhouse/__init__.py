"""Stillhouse: knowledge distillation for PyTorch, with numbers that can be trusted."""
