"""What `make bench` measures. Every speed is a ratio of two rates from one process, measured in turn."""
