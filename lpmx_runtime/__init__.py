"""Run programs inside container images as an ordinary user, with nothing privileged."""

__version__ = "0.1.0"
