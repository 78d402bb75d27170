"""Whole files: read in one piece, written whole or not at all, and JSON without surprises."""
