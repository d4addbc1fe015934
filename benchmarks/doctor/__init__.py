"""make doctor: how often the doctor names a fault that was planted, and how often it accuses a healthy run."""
