"""A config taken for a walk before the run: its data, its layers, its first steps."""
