"""Trained ternary networks that ship with EdgeBit, each beside the script that trained it."""
