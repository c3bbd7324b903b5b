"""Whether a proposed call runs already."""

from __future__ import annotations

from specflow.speculation.overtaken import overtaken
from specflow.speculation.parts import Parts
from specflow.speculation.pending import Speculation, Stay
from specflow.speculation.retire import Retirer
from specflow.speculation.session import Session


def running_for(parts: Parts, retirer: Retirer, session: Session, key: str) -> Speculation | None:
    """What was started for the call of that key and may be adopted; what would not be any more ends here.

    A read that lives on would otherwise keep a newer one from being started, and be thrown away itself.
    """
    while (known := session.pending.first(key)) is not None:
        if known.stay is Stay.CARRIED and known.came_to_nothing:
            retirer.retire(session, known, "failed")
            continue
        if known.expected or known.waited_for or not overtaken(parts, session, known):
            break
        retirer.retire(session, known, "stale")
    return known
