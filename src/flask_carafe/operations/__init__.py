"""What can be done: one function, one permission. Plain Python that a test calls without an app."""
