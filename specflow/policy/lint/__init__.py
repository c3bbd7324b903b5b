"""What a policy that loads still gets wrong: one module per group of checks, one table of codes.

rules     1xx  rules that do nothing, rules that meet, conditions that break
undo      2xx  compensators and verifiers, and (mappings) what they are called with
early     3xx  what runs early, and what that needs; (worth) prices and limits; (doubt) unknown outcomes
listing   4xx  names, reviews, and what tools say of themselves
sampling       calls on which conditions come out differently (atoms: what they compare; shape: schemas)
"""

from specflow.policy.lint.registry import CHECKS, Check, lint

__all__ = ["CHECKS", "Check", "lint"]
