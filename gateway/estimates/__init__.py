"""Tokens of a request before its provider has told them: bounds that are kept, and what is likely."""

from gateway.estimates.estimator import Estimator, output_bound
from gateway.estimates.loading import load
from gateway.estimates.types import Guess, Tokenizer, TokenizerError

__all__ = ["Estimator", "Guess", "Tokenizer", "TokenizerError", "load", "output_bound"]
