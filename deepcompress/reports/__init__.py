"""Reports on a file or a run: bytes, tables, pictures, distances and times."""
