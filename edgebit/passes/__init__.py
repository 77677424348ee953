"""Graph to graph, one small file each."""
