"""How the record came to its form, step by step. A step is never changed once it is released."""
