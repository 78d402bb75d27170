"""What a file or a run is told by: bytes, tables, pictures, distances and times."""
