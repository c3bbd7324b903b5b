"""A policy that follows its files: what holds changes when they do, without a restart, and never by halves.

A judgement never waits for a file. Every few seconds one of them starts a short thread that looks; it
reads again only what looks different, loads it beside the policy in use, and then replaces that in one
step. What does not load replaces nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from specflow.clock import Clock, SystemClock
from specflow.effects.call import Call
from specflow.effects.registry import ToolRegistry
from specflow.effects.tool import ToolSpec
from specflow.errors import PolicyError
from specflow.policy.finding import Finding, refuse
from specflow.policy.load import assemble
from specflow.policy.policy import Policy
from specflow.policy.read_document import read_document
from specflow.policy.settings import Budgets, ToolSettings
from specflow.policy.snapshot import Snapshot, marks_of, settled, snapshot
from specflow.policy.verdict import Verdict

log = logging.getLogger("specflow")


class ReloadingPolicy:
    """Fulfils `specflow.policy.settings.Judge` with the policy that its files hold.

    `paths` are files or folders of `*.yaml`. Changes are looked for at most every `interval` seconds, when
    something is judged, in a thread of its own; a change counts when two looks, `interval` apart, have seen
    the same content: a file that someone is still writing can be valid YAML, with its last rules missing.
    For the same reason a file that vanishes from a folder is a problem, and no change, until `reload` is
    called. `interval` 0: only `reload` looks. Every verdict carries the hash of the policy that gave it.
    `keeps_secrets` is as in `load`.

    Raises:
        PolicyError: on construction, when there is no policy to begin with.
    """

    def __init__(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        tools: ToolRegistry | None = None,
        interval: float = 2.0,
        clock: Clock | None = None,
        keeps_secrets: bool = False,
    ) -> None:
        several = [paths] if isinstance(paths, str | Path) else list(paths)
        self.paths = tuple(Path(path) for path in several)
        self._tools = tools
        self.keeps_secrets = keeps_secrets
        self._interval = interval
        self._clock = clock or SystemClock()
        self._starting = threading.Lock()
        self._looking = threading.Lock()
        self._worker: threading.Thread | None = None
        self._closed = threading.Event()
        self._problem: PolicyError | None = None
        self._seen = ""
        self._refused = ""
        first = snapshot(self.paths)
        self._policy = self._load(first)
        self._files = {name for name, _ in first.texts}
        self._taken = first.digest
        self._marks = first.marks
        self._next = self._clock.monotonic() + interval

    # ------------------------------------------------------------------ what the core asks

    @property
    def current(self) -> Policy:
        """The policy in use now. Ask it several questions, and the answers belong together."""
        return self._policy

    @property
    def problem(self) -> PolicyError | None:
        """Why the files as they are now are not in use; None when they are."""
        return self._problem

    @property
    def hash(self) -> str:
        return self._policy.hash

    @property
    def budgets(self) -> Budgets:
        return self._policy.budgets

    def judge(
        self, tool: ToolSpec | None, call: Call, *, context: Mapping[str, Any], tainted: bool = False
    ) -> Verdict:
        """The verdict on one call, by one policy. Total: never raises."""
        self._look_soon()
        return self._policy.judge(tool, call, context=context, tainted=tainted)

    def settings(self, tool: ToolSpec) -> ToolSettings:
        """How to run the tool; defaults where the policy says nothing."""
        return self._policy.settings(tool)

    def compensates(self, compensator: str, name: str, tool: ToolSpec | None = None) -> bool:
        """Whether `compensator` may be called to undo a recorded effect of the tool `name`."""
        return self._policy.compensates(compensator, name, tool)

    # ------------------------------------------------------------------ following the files

    def reload(self) -> bool:
        """Read the files now; whether another policy is in use than before.

        Whoever calls says that the files are complete. What does not load changes nothing: see `problem`.
        """
        with self._looking:
            return self._take(snapshot(self.paths), asked=True)

    def look(self) -> bool:
        """One of the looks that judgements start; whether another policy is in use than before."""
        with self._looking:
            unchanged = not self._seen and self._problem is None and marks_of(self.paths) == self._marks
            if unchanged and settled(self._marks, self._clock.wall()):
                return False
            found = snapshot(self.paths)
            known = found.digest in {self._taken, self._refused}
            if known or found.digest == self._seen:
                return self._take(found, asked=False)
            # Perhaps someone is still writing: it counts when the next look sees the same.
            self._seen = found.digest
            return False

    def close(self) -> None:
        """Look no more; what was loaded last stays in use."""
        self._closed.set()
        worker = self._worker
        if worker is not None and worker is not threading.current_thread():
            worker.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look_soon(self) -> None:
        if self._interval <= 0 or self._closed.is_set() or self._clock.monotonic() < self._next:
            return
        # Whoever does not get the lock leaves it to the one who has it.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._closed.is_set() or (self._worker is not None and self._worker.is_alive()):
                return
            self._next = self._clock.monotonic() + self._interval
            worker = threading.Thread(target=self._look_quietly, name="specflow-policy", daemon=True)
            worker.start()
            self._worker = worker
        except RuntimeError:
            # No thread to be had, as at the end of a process: the policy in use stays, and judging goes on.
            log.debug("no thread to look for a new policy", exc_info=True)
        finally:
            self._starting.release()

    def _look_quietly(self) -> None:
        try:
            self.look()
        except Exception:
            log.exception("looking for a new policy failed; the one in use stays")

    def _take(self, found: Snapshot, *, asked: bool) -> bool:
        """Use what was found, if it is something new that can be used."""
        self._seen = ""
        if found.digest == self._taken:
            self._marks, self._problem, self._refused = found.marks, None, ""
            return False
        if found.digest == self._refused and not asked:
            return False
        before = self._policy.hash
        try:
            if not asked:
                self._refuse_less(found)
            made = self._load(found)
        except PolicyError as error:
            self._problem, self._refused = error, found.digest
            log.error("the changed policy is not used, the one before stays:\n%s", error)  # noqa: TRY400 - the findings say it all
            return False
        # INVARIANT: a judgement reads this name once, so it sees one whole policy.
        self._policy = made
        self._files = {name for name, _ in found.texts}
        self._taken, self._marks, self._problem, self._refused = found.digest, found.marks, None, ""
        if made.hash != before:
            log.warning("the policy changed: %s -> %s", before[:12], made.hash[:12])
        return made.hash != before

    def _refuse_less(self, found: Snapshot) -> None:
        """A folder that is being filled again is a policy with some of its demands missing."""
        gone = sorted(
            self._files - {name for name, _ in found.texts} - {item.file for item in found.findings}
        )
        message = "it is part of the policy in use, and gone: if that is meant, call reload() or start again"
        if gone:
            raise refuse(
                Finding(file=name, line=0, column=0, path="", code="not_found", message=message)
                for name in gone
            )

    def _load(self, found: Snapshot) -> Policy:
        reads = [read_document(text, name) for name, text in found.texts]
        loaded = assemble(reads, list(found.findings), self._tools)
        if loaded.compiled is None or loaded.findings:
            raise refuse(loaded.findings)
        files = [name for name, _ in found.texts]
        return Policy(
            loaded.compiled,
            tools=self._tools,
            tests=loaded.tests,
            files=files,
            keeps_secrets=self.keeps_secrets,
        )
