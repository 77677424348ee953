"""Board definitions: one folder of data per board."""
