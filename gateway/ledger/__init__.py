"""The record of what was used: one entry for every leg that reached a provider."""
