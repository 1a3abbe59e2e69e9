"""What becomes of a provider's failures: who is asked again, who is asked instead, and who is left alone for a while.

Each policy is a file of its own, and pure: told the time, told the outcome, given its chance.
"""
