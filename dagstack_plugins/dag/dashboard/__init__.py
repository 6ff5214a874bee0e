"""A page that shows runs while they run, and lets people decide at gates."""
