"""Containers: an image, an upper, and the programs that run over both."""
