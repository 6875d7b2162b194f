"""Real package managers in a container, compared with the same steps in a real chroot."""
