"""The verdict on one call: pure, total, and never looser than what was declared.

# INVARIANT: strictness(judge(call)) >= strictness(declared); an error never widens what is permitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specflow.effects.call import Call
from specflow.effects.kind import EffectClass, strictest
from specflow.policy import privacy, undoable, versioned
from specflow.policy.compiled import Allow, Entry, Plan, Require
from specflow.policy.condition import Cel, ConditionError, Scope
from specflow.policy.hints import believing
from specflow.policy.verdict import Asking, Reason, Speculate, Verdict

_CONFIRM = EffectClass.CONFIRMATION_REQUIRED


def decide(plan: Plan, call: Call, *, context: Mapping[str, Any], tainted: bool = False) -> Verdict:
    """The verdict on `call`. Never raises; what cannot be judged is never early."""
    try:
        return _Judgement(plan, call, context, tainted).verdict()
    except Exception as error:  # noqa: BLE001 - a judge that fails must not be a judge that permits
        return Verdict(
            effect=strictest(_CONFIRM, plan.defaults.unlisted),
            speculate=Speculate.NEVER,
            reasons=(Reason(code="error", message=f"the call cannot be judged ({type(error).__name__})"),),
            policy_hash=plan.policy_hash,
            schema_hash=plan.schema_hash,
            min_confidence=1.0,
            confirm=Asking.ASK,
        )


def declared(plan: Plan, reasons: list[Reason]) -> EffectClass:
    """The strictest effect that entries and annotation declare, before any rule."""
    effects = [_entry_effect(plan, entry, reasons) for entry in plan.entries]
    said = [effect for effect in effects if effect is not None]
    if said:
        return strictest(*said)
    if plan.annotation is not None:
        reasons.append(Reason(code="annotated", message=f"the Python source says {plan.annotation.effect}"))
        return plan.annotation.effect
    if plan.hinted:
        assert plan.tool is not None
        message = (
            f"its server, which is trusted at {getattr(plan.tool.origin, 'at', '')}, says that it only reads"
        )
        reasons.append(Reason(code="hinted", message=message))
        return EffectClass.READ_ONLY
    reasons.append(
        Reason(
            code="unlisted",
            message=f"nothing says what {plan.name[:80]!r} may do, so it is {plan.defaults.unlisted}"
            f"{believing(plan.tool)}",
        )
    )
    return strictest(plan.defaults.unlisted, *([plan.floor] if plan.floor else []))


def _entry_effect(plan: Plan, entry: Entry, reasons: list[Reason]) -> EffectClass | None:
    """What one entry declares; None when it leaves the effect to others."""
    reviewed = bool(entry.reviewed) and (plan.tool is None or entry.reviewed == plan.schema_hash)
    stale = bool(entry.reviewed) and not reviewed
    if stale or (entry.proposed and not reviewed):
        why = (
            "its schema changed after it was reviewed" if stale else "it is proposed, nobody has reviewed it"
        )
        reasons.append(Reason(code="schema_changed" if stale else "proposed", message=why, where=entry.where))
        # Nothing that nobody has reviewed may loosen what holds without it.
        known = (entry.effect, plan.floor)
        return strictest(_CONFIRM, plan.defaults.unlisted, *(kind for kind in known if kind is not None))
    if entry.effect is None:
        return None
    floor = plan.floor
    if floor is not None and entry.effect.strictness < floor.strictness and not reviewed:
        reasons.append(
            Reason(
                code="hint_floor" if plan.floor_of.startswith("its server") else "annotation_floor",
                message=f"the policy says {entry.effect}, {plan.floor_of} {floor}; to loosen it, add "
                f"`reviewed: {plan.schema_hash}`",
                where=entry.where,
            )
        )
        return floor
    reasons.append(Reason(code="declared", message=f"declared {entry.effect}", where=entry.where))
    return entry.effect


class _Judgement:
    """One call being judged; a scope for what the steps share."""

    def __init__(self, plan: Plan, call: Call, context: Mapping[str, Any], tainted: bool) -> None:
        self._plan = plan
        self._call = call
        self._context = context
        self._tainted = tainted
        self._reasons: list[Reason] = []
        self._withheld: tuple[str, ...] = ()
        self._scope: Scope | ConditionError | None = None

    def verdict(self) -> Verdict:
        plan = self._plan
        effect = declared(plan, self._reasons)
        if not plan.registered:
            self._say("unregistered", "no such tool is registered, so nothing can run")
            effect = strictest(effect, _CONFIRM)
        requires = self._requires()
        for rule in requires:
            effect = strictest(effect, rule.effect or effect)
        speculate, confidence = self._speculate(effect)
        for rule in requires:
            speculate = _strictest(speculate, rule.speculate or speculate)
            confidence = max(confidence, rule.min_confidence or confidence)
        speculate = self._narrow(effect, speculate)
        return Verdict(
            effect=effect,
            speculate=speculate,
            reasons=tuple(dict.fromkeys(self._reasons)),
            policy_hash=plan.policy_hash,
            schema_hash=plan.schema_hash,
            min_confidence=confidence,
            predictors=self._predictors(effect),
            confirm=self._confirm(requires),
            withheld=self._withheld,
        )

    def _say(self, code: str, message: str, where: str = "") -> None:
        self._reasons.append(Reason(code=code, message=message, where=where))

    # Rules

    def _requires(self) -> list[Require]:
        found: list[Require] = []
        for rule in self._plan.requires:
            held, why = self._holds(rule.when)
            if held is False or (rule.unless is not None and self._holds(rule.unless)[0] is True):
                continue
            found.append(rule)
            self._say(
                rule.id,
                f"requires {_demand(rule)}{why and f', because its condition cannot be evaluated: {why}'}",
                rule.where,
            )
        return found

    def _allows(self, rule: Allow) -> bool:
        return self._holds(rule.when)[0] is True and (
            rule.unless is None or self._holds(rule.unless)[0] is False
        )

    def _holds(self, condition: Cel) -> tuple[bool | None, str]:
        """Whether the condition holds; None with the reason when it cannot be evaluated."""
        scope = self._scope
        try:
            if scope is None:
                self._scope = scope = Scope.of_call(self._call, self._context, self._plan.needs)
            return (condition.test(scope), "") if isinstance(scope, Scope) else (None, scope.message)
        except ConditionError as error:
            self._scope = scope if isinstance(scope, Scope) else error
            return None, error.message

    # When it may run

    def _speculate(self, effect: EffectClass) -> tuple[Speculate, float]:
        """The strictest of what the entries say, each loosened by its own rules, with its confidence."""
        word, needed = _usual(effect), self._plan.defaults.min_confidence
        if effect.strictness >= _CONFIRM.strictness:
            return word, needed
        # An entry that only sets, say, a timeout has no opinion about when.
        said = [self._of_entry(entry, word) for entry in self._plan.entries if entry.has_opinion]
        if not said:
            self._say("default", f"{effect} is {word} where nothing else is said")
            return word, needed
        asked = [confidence for _, confidence in said if confidence is not None]
        return _strictest(*(best for best, _ in said)), max(asked, default=needed)

    def _of_entry(self, entry: Entry, usual: Speculate) -> tuple[Speculate, float | None]:
        """What one entry says about when, and the confidence it asks for; None if it has written nothing but
        rules that loosen, and loosens nothing now.
        """
        best = usual if entry.speculate is None else entry.speculate
        least = self._plan.defaults.min_confidence if entry.min_confidence is None else entry.min_confidence
        given = [
            (rule.speculate.strictness, max(least, rule.min_confidence or least), index)
            for index, rule in enumerate(entry.allows)
            if self._allows(rule)
        ]
        if given and (first := min(given))[0] < best.strictness:
            giver = entry.allows[first[2]]
            self._say(giver.id, f"allows {giver.speculate}", giver.where)
            return giver.speculate, first[1]
        if entry.speculate is not None:
            self._say("speculate", f"speculate: {entry.speculate}", entry.where)
        else:
            self._say("default", f"{usual} where speculate is not written", entry.where)
        return best, least if entry.has_written else None

    def _narrow(self, effect: EffectClass, speculate: Speculate) -> Speculate:
        """What keeps a call from running early whatever the policy says about its tool."""
        plan = self._plan
        if effect.strictness >= _CONFIRM.strictness:
            self._say("never_early", f"{effect} never runs early")
            return Speculate.NEVER
        if plan.tool is not None and plan.tool.injected:
            self._say("injected", f"it takes state of the real run ({', '.join(sorted(plan.tool.injected))})")
            return Speculate.NEVER
        if plan.redaction:
            self._say("redacted", plan.redaction)
            return Speculate.NEVER
        if speculate is not Speculate.NOW:
            return speculate
        if effect is EffectClass.COMPENSATABLE and (problem := plan.no_undo or self._undo_problem()):
            self._say("no_undo", problem)
            speculate = Speculate.HOLD
        if not effect.writes:
            problem, self._withheld = versioned.obstacle(plan, self._call, self._of_read)
            if problem:
                self._say("no_version", problem)
                speculate = Speculate.HOLD
        return _strictest(speculate, self._privacy())

    def _undo_problem(self) -> str:
        """Why the compensator could not be called with what this call says, or nothing."""
        undo = self._plan.settings.undo
        assert undo is not None  # the plan says why there is none
        problem, self._withheld = undoable.obstacle(self._plan, undo, self._call, self._of_read)
        return problem

    def _of_read(self, plan: Plan, call: Call) -> Verdict:
        return decide(plan, call, context=self._context, tainted=self._tainted)

    def _privacy(self) -> Speculate:
        plan = self._plan
        found = privacy.traces(self._call.args)
        kept = privacy.withheld(found, plan.destinations)
        if kept:
            places = dict.fromkeys(f"{trace.where}: {trace.kind}" for trace in kept[:20])
            self._withheld = tuple(places)
            self._say(
                "private",
                f"it would send {', '.join(places)} somewhere on a guess; if that is fine, add "
                f"`destinations: {{{_destination_key(kept[0])}: ...}}` to tools.{plan.name[:80]}",
            )
            return Speculate.HOLD
        if self._tainted and not (plan.destinations and all(map(privacy.is_bounded, plan.destinations))):
            self._withheld = ("args: values from a tool's result",)
            self._say(
                "tainted",
                "its arguments come from a tool's result; if they may go where this tool sends them, add "
                f"`destinations: {{host: ...}}` to tools.{plan.name[:80]}",
            )
            return Speculate.HOLD
        return Speculate.NOW

    # Who

    def _predictors(self, effect: EffectClass) -> frozenset[str] | None:
        if self._plan.predictors is None and effect.writes:
            return frozenset({"partial_call"})
        return self._plan.predictors

    def _confirm(self, requires: Sequence[Require]) -> Asking:
        entries = self._plan.entries
        said = [entry.confirm for entry in entries if entry.confirm is not None]
        if Asking.ASK in said or any(rule.ask for rule in requires):
            return Asking.ASK
        if said:
            return Asking.HOST
        # A tool that nobody classed is not interrupted by merely adding specflow.
        classed = self._plan.annotation is not None or any(
            entry.effect is not None or entry.proposed or entry.reviewed for entry in entries
        )
        raised = any(rule.effect for rule in requires)
        return Asking.ASK if classed or raised else self._plan.defaults.confirm_unlisted


def _usual(effect: EffectClass) -> Speculate:
    if effect is EffectClass.READ_ONLY:
        return Speculate.NOW
    return Speculate.HOLD if effect is EffectClass.COMPENSATABLE else Speculate.NEVER


def _strictest(*words: Speculate) -> Speculate:
    return max(words, key=lambda word: word.strictness)


def _demand(rule: Require) -> str:
    parts = [rule.effect, rule.speculate, rule.min_confidence and f"confidence {rule.min_confidence}"]
    said = [str(part) for part in parts if part]
    return ", ".join([*said, "asking"] if rule.ask else said) or "nothing"


def _destination_key(trace: privacy.Trace) -> str:
    return {privacy.Kind.EMAIL: "email", privacy.Kind.PATH: "path"}.get(trace.kind, "host")
