"""What a label is: how answers are scored by it, and which score selects."""
