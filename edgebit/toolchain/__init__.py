"""Compile, link, and read what came out."""
