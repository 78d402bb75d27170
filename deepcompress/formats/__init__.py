"""File formats of others, read into a `CompressedModel` and written from one.

`net` has the format of the paper's authors, `layers` the list of layers that it needs.
"""
