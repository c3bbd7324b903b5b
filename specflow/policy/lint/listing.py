"""The names in the policy against the tools there are, and against what those say of themselves."""

from __future__ import annotations

from specflow.effects.kind import EffectClass
from specflow.effects.tool import ToolSpec
from specflow.policy.finding import near
from specflow.policy.hints import says_it_writes
from specflow.policy.lint.subject import Found, Hit, Subject
from specflow.policy.lint.undo import sites_with_targets


def unlisted(subject: Subject) -> Found:
    """SF401: tools that neither the policy nor the Python source classes."""
    if subject.tools is None or not subject.reads:
        return
    for tool in subject.tools:
        if not subject.classed(tool.name):
            message = (
                f"{tool.name!r} is not in the policy, so it never runs early: list it, for example "
                f"`{_key(tool)}: {{effect: confirmation_required}}`"
            )
            yield Hit(subject.reads[0], ("tools",), message, key=True)


def nameless(subject: Subject) -> Found:
    """SF402: names that no tool has."""
    spelled = {site.name for site in subject.sites}
    if subject.tools is None:
        for site, where, target in sites_with_targets(subject):
            if where != ("compensate",) and not subject.entries(target):
                message = f"no entry is called {target!r}{near(target, spelled)}: list it under tools"
                yield subject.hit(site, *where, "tool", message=message)
        return
    names = [name for tool in subject.tools for name in tool.names]
    for site in subject.sites:
        if not any(entry.pattern == site.name for name in names for entry in subject.entries(name)):
            message = f"no registered tool is called {site.name!r}{near(site.name, names)}"
            yield subject.hit(site, message=message, key=True)
        for word, written in (("compensator_for", site.part.compensator_for), ("calls", site.part.calls)):
            for index, name in enumerate(written or ()):
                if name not in subject.tools:
                    message = f"no registered tool is called {name!r}{near(name, names)}"
                    yield subject.hit(site, word, index, message=message)


def changed(subject: Subject) -> Found:
    """SF403: entries that were reviewed against another schema."""
    for site in subject.sites:
        tool = subject.tool(site.name)
        if site.part.reviewed and tool is not None and site.part.reviewed != tool.schema_hash:
            message = (
                f"the schema of {site.name} changed after the review, so it counts as a proposal: look at "
                f"the tool again, then write `reviewed: {tool.schema_hash}`"
            )
            yield subject.hit(site, "reviewed", message=message)


def contradicted(subject: Subject) -> Found:
    """SF404: what the tool says of itself, and the policy says otherwise."""
    for site in subject.sites:
        tool = subject.tool(site.name)
        if tool is None:
            continue
        part, annotation = site.part, tool.annotation
        effect = EffectClass(part.effect) if part.effect else None
        reviewed = part.reviewed == tool.schema_hash
        if effect is not None and not reviewed:
            if annotation is not None and effect.strictness < annotation.effect.strictness:
                message = (
                    f"the Python source says {annotation.effect}, which counts until the entry is reviewed: "
                    f"mend one of them, or add `reviewed: {tool.schema_hash}`"
                )
                yield subject.hit(site, "effect", message=message)
            elif effect is EffectClass.READ_ONLY and (hint := says_it_writes(tool.hints)):
                message = (
                    f"its server says {hint}: class it as a write, or, if the server is wrong, add "
                    f"`reviewed: {tool.schema_hash}`"
                )
                yield subject.hit(site, "effect", message=message)
        if annotation is None:
            continue
        for loc, mine, theirs in (
            (("compensate", "tool"), part.compensate.tool if part.compensate else "", annotation.undo),
            (("verify", "tool"), part.verify.tool if part.verify else "", annotation.verify),
            (("idempotency_key",), part.idempotency_key or "", annotation.idempotency_key),
            (("transaction",), part.transaction or "", annotation.transaction),
        ):
            if mine and theirs and mine != theirs:
                message = f"the Python source says {theirs!r}: one of them is out of date"
                yield subject.hit(site, *loc, message=message)


def proposed(subject: Subject) -> Found:
    """SF405: proposals that nobody has reviewed."""
    for site in subject.sites:
        if site.part.status == "proposed" and not site.part.reviewed:
            tool = subject.tool(site.name)
            shown = tool.schema_hash if tool is not None else "<schema hash>"
            message = (
                "a proposal counts as confirmation_required: look at its evidence, then replace `status` by "
                f"`reviewed: {shown}`"
            )
            yield subject.hit(site, "status", message=message)


def unasked(subject: Subject) -> Found:
    """SF406: `confirm_within` where specflow asks nobody."""
    for site in subject.sites:
        part = site.part
        if part.confirm_within is None or part.status == "proposed" or part.reviewed:
            continue
        asks = any(
            rule.require is not None
            and (rule.require.confirm == "ask" or rule.require.effect == "confirmation_required")
            for rule in part.rules
        )
        calm = part.effect in {"read_only", "compensatable", "deny"}
        if not asks and (part.confirm == "host" or calm):
            who = "the application asks" if part.confirm == "host" else f"a {part.effect} tool asks nobody"
            message = f"{who}, and that it may take so long says nothing: remove `confirm_within`"
            yield subject.hit(site, "confirm_within", message=message, key=True)


def unshown(subject: Subject) -> Found:
    """SF407: what `show` names cannot be read for the question."""
    for site in subject.sites:
        if site.part.show:
            for problem in subject.plan(site.name).no_show:
                yield subject.hit(site, "show", message=problem, key=True)


def by_name_alone(subject: Subject) -> Found:
    """SF408: MCP servers that are trusted by their name, which says nothing about who answers to it."""
    for read in subject.reads:
        for index, part in enumerate((read.document.trusted_mcp_servers if read.document else None) or ()):
            if isinstance(part, str):
                message = (
                    f"{part!r} is only a name, so none of its hints is believed: write "
                    f'`{{name: {part}, at: "its URL or command", schemas: {{tool: schema hash}}}}`, '
                    "as the reason `unlisted` in the verdict on a tool spells it out"
                )
                yield Hit(read, ("trusted_mcp_servers", index), message)


def _key(tool: ToolSpec) -> str:
    """As it is written in YAML."""
    return tool.name if tool.origin is None else f'"{tool.origin}"'
