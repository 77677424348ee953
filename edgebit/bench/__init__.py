"""Verify and measure over a device link."""
