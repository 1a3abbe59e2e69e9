"""The proofs of tests/proofs at their whole length: ``python -m tools.soak``."""
