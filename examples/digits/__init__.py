"""Handwritten digits, 8x8 pixels, ten classes."""
