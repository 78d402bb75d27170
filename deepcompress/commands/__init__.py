"""The verbs of the command line, each a module named after it; `verb` has their common parts."""
