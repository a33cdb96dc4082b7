"""Files that are copied into a student's folder as they are."""
