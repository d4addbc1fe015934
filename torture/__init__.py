"""make torture: runs are killed with -9 at random moments and resumed, and must end in what unbroken ones end in."""
