"""The union compared: the same operations in a plain directory, on overlayfs, in a view."""
