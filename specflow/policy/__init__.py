"""JUDGED: what may run early, what must wait, what must be asked.

`load` reads policy files into a `Policy`; `Policy.judge` gives the verdict on a call. The way of a file:
source (bytes) -> yaml_events (data, positions) -> document (shape) -> compile -> merge -> plan -> judge.
"""

from specflow.policy.finding import Finding
from specflow.policy.load import load, loads
from specflow.policy.policy import Policy

__all__ = ["Finding", "Policy", "load", "loads"]
