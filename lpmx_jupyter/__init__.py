"""LPMX containers as Jupyter kernels."""
