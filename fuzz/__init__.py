"""Mutated files against everything that reads a stranger's bytes: `make fuzz`."""
