"""trainer: image classifiers, trained from one command and judged in words."""

__version__ = "0.1.0"
