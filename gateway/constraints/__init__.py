"""Whether an answer keeps the constraint it was asked under. Pure: no I/O, no clock."""

from gateway.constraints.begun import begun
from gateway.constraints.checker import Checker
from gateway.constraints.describe import describe
from gateway.constraints.documents import holds_json
from gateway.constraints.problems import ConstraintError, Verdict

__all__ = ["Checker", "ConstraintError", "Verdict", "begun", "describe", "holds_json"]
