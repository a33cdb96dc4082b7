"""Teacher-free: targets that no network made."""
