"""Everything that opens a connection; without this folder, all of it works offline."""
