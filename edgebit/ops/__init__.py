"""One file per op: shape rule, NumPy meaning, C lowering, random sample. Found by discovery."""
