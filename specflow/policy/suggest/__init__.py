"""Proposes policy entries for tools nobody has classed yet, with the evidence beside each.

What a tool is known by (subject) -> what each artefact says (evidence) -> one proposal -> YAML.
A proposal is never trusted: every entry is written `status: proposed`, which counts as
`confirmation_required` until a person has reviewed it.
"""

from specflow.policy.suggest.propose import Proposal, propose
from specflow.policy.suggest.render import as_dict, as_yaml
from specflow.policy.suggest.subject import Hints, Operation, Subject

__all__ = ["Hints", "Operation", "Proposal", "Subject", "as_dict", "as_yaml", "propose"]
