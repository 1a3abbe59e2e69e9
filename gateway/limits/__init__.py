"""What may be used, by whom, and how much of it is left: limits and budgets, reserved before a call and settled after."""
