"""Redis: the counters that all replicas of a gateway share, and what they tell each other."""
