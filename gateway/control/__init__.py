"""What operators do: teams, keys, limits, reports and the audit log."""
