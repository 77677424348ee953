"""One importer per model file format: file to Graph, nothing else."""
