"""The record in SQLite or PostgreSQL: teams, keys, limits, every change, and the ledger. No request waits for it."""
