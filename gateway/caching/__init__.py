"""Answers that are kept for the next who asks the same, within a team: what is the same, what may be kept, and how."""
