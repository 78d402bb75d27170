"""Integers as bits: packed at a fixed width, in tables of tokens, and as streams of symbols."""
