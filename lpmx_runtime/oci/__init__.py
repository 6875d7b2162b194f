"""The rules of images, as pure functions of names and bytes: no file, no socket."""
