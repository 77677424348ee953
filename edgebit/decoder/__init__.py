"""Language models: decoder-only transformers with ternary projections."""
