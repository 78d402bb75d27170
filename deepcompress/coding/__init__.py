"""A tensor to its record in a file and back: coders, prices, and the streams of blocks."""
