"""Small models for tests, built on the spot."""
