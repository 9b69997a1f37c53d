"""Every example, and every block of the documentation that can run, run as a user would run it."""
