"""Integers as bits: packed at a fixed width, and tables written as tokens."""
