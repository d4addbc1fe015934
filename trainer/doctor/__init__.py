"""What is wrong with a run, told from its records: rules from a history to findings."""
