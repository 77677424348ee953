"""One packed-weight layout per file."""
