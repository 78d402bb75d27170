"""Files of other programs: `registry` finds a file's format, each format is a module.

`net` has the format of the paper's authors, `layers` the list of layers that it needs.
"""
