"""The store: blobs, layers, indexes and images in one directory."""
from .images import Image
from .layout import Store

__all__ = ["Image", "Store"]
