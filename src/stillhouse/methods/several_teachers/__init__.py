"""Several teachers: who is listened to, for which sample."""
