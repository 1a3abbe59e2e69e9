"""What may be used, by whom, and how much is left: limits and budgets, reserved before a call and settled after."""
