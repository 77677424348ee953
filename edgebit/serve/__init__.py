"""A language model of an export as a service: its library loaded into this process, HTTP round it."""
