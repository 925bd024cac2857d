"""Decisions only: no I/O, no clock, no loop, no randomness but what is handed in."""
