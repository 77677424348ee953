"""Files that turn a planned model into source trees: one exporter per file."""
