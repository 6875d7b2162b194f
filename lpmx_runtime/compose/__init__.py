"""Compose files: a set of containers, what they call of each other, and their commands."""
