"""Networks that run on packed weights: read from a file, planned, and fed with pictures."""
