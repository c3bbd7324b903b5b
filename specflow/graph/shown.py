"""What a person is shown about a call, and what their answer is bound to."""

from __future__ import annotations

import json
from dataclasses import dataclass

from specflow.effects.call import Call, digest
from specflow.effects.redaction import HIDDEN, hide
from specflow.graph.again import asking
from specflow.journal.approval import DECISIONS, LONGEST_SHOWN
from specflow.journal.text import note
from specflow.policy.settings import ToolSettings
from specflow.policy.verdict import Verdict

READ = "\n\nRead for this question:\n"
"""Before what was read, in a description of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One call as it is put to a person.

    `head` and `tail` are the description that goes with the arguments, without what the policy redacts; what
    was read for the question stands between them. `name` tells the call from all others, whatever its
    arguments. `within`: seconds that the answer may take.
    """

    call: Call
    name: str
    thread: str
    head: str
    tail: str = ""
    schema_hash: str
    policy_hash: str
    within: float

    def text(self, read: str = "") -> str:
        """The description, with what was read."""
        return note(f"{self.head}{READ + read if read else ''}{self.tail}", LONGEST_SHOWN)

    def hash(self, text: str) -> str:
        """Of all that is shown: text, tool, arguments, and what may be answered."""
        return digest("shown", text, self.call.tool, self.call.fingerprint, *DECISIONS)

    def is_still(self, text: str, known: str) -> bool:
        """Whether what was shown as `text`, with that hash, would be shown now but for what was read."""
        head, tail = note(self.head, LONGEST_SHOWN), note(self.tail, LONGEST_SHOWN)
        between = text.startswith(head) and text.endswith(tail)
        return self.hash(text) == known and (between or text == self.text())


def description(call: Call, verdict: Verdict, settings: ToolSettings, again: str) -> tuple[str, str]:
    """What stands beside the request. `again` says why an answer that was given does not count.

    What the policy redacts is in no description: other front ends show and store it.
    """
    plain = call.plain_args()
    hidden = hide("args", plain, settings.redact)
    args = dict.fromkeys(plain, HIDDEN) if hidden.shown == HIDDEN else hidden.shown
    # A reason may quote an argument.
    why = "; ".join(reason.code if hidden.places else reason.message for reason in verdict.reasons)
    written = json.dumps(args, indent=2, sort_keys=True)
    return f"{asking(call.tool, again)} ({why})", f"\n\nTool: {call.tool}\nArgs: {written}"
