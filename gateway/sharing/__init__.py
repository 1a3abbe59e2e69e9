"""Who answers a leg: the cache, a call that is under way already, or the model's targets."""
