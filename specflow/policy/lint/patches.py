"""Patches: whether an early call can be amended by them, and what the real call is then told."""

from __future__ import annotations

from collections.abc import Iterator

from specflow.effects.claim import meet
from specflow.effects.kind import EffectClass
from specflow.policy.document import PatchPart
from specflow.policy.lint.shape import look
from specflow.policy.lint.subject import Found, Site, Subject
from specflow.policy.mapping import TEMPLATE


def unused(subject: Subject) -> Found:
    """SF213: patches by which nothing is ever amended."""
    for site, patch in _patches(subject):
        plan = subject.plan(site.name)
        if plan.no_patch and subject.classed(patch.tool):
            message = f"{site.name} is never amended: {plan.no_patch}"
            yield subject.hit(site, "patch", message=message, key=True)
        for index, template in enumerate(site.part.writes or ()):
            read = {field.strip() for field in TEMPLATE.findall(template)}
            changed = next((name for name in patch.fields if f"args.{name}" in read), "")
            if changed and not meet(TEMPLATE.sub("1", template), TEMPLATE.sub("2", template)):
                message = (
                    f"the patch changes {changed}, and {template} then names something that the early call "
                    f"does not hold: it is undone instead; take {changed} out of `patch.fields`"
                )
                yield subject.hit(site, "writes", index, message=message)


def answers(subject: Subject) -> Found:
    """SF214: patches after which the real call would return something of another shape."""
    for site, patch in _patches(subject):
        tool, target = subject.tool(site.name), subject.tool(patch.tool)
        if patch.returns is not None or tool is None or target is None or not (tool.result and target.result):
            continue
        wanted = sorted(map(str, tool.result.get("required") or ()))
        lacking = [name for name in wanted if not look(target.result, (name,)).sure]
        if lacking:
            message = (
                f"{site.name} returns {', '.join(lacking)}, and {patch.tool} does not: say with `returns` "
                f"what {site.name} would have returned, of `args`, `result` and `patched`"
            )
            yield subject.hit(site, "patch", message=message, key=True)


def _patches(subject: Subject) -> Iterator[tuple[Site, PatchPart]]:
    for site in subject.sites:
        # Only what can be undone runs early, and only that can be amended.
        if site.part.patch is not None and subject.effect(site.name) is EffectClass.COMPENSATABLE:
            yield site, site.part.patch
