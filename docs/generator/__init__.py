"""What the documentation site writes by itself, from the package and the result files."""
