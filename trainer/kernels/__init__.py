"""What a CPU computes faster than torch does: the same results by another way, for the layers where that pays."""
