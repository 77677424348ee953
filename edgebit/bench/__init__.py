"""Verify and measure over a device link; report what came out."""
