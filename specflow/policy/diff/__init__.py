"""What one policy permits and another did not, as concrete calls; `compare` looks, and says how hard."""

from specflow.policy.diff.compare import compare
from specflow.policy.diff.report import Change, Loosening, Report, Tried

__all__ = ["Change", "Loosening", "Report", "Tried", "compare"]
