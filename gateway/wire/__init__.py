"""What callers send and get: one module a dialect, each decoding to and encoding from the same values."""
