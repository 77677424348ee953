"""One flashing method per file."""
