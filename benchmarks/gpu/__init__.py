"""make gpu: what only a machine with a GPU can show, in one command and a few minutes."""
