"""What the calls in a tool's source do, as far as the standard library and well-known clients go."""

# ruff: noqa: SIM905 - tables of words read best as words

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import StrEnum
from types import FunctionType, MethodType, ModuleType
from typing import Any

from specflow.policy.suggest import lexicon, statements
from specflow.policy.suggest.functions import Body, dotted, resolve
from specflow.policy.suggest.words import Form, split_name, verb

_PURE_MODULES = (
    "math.", "cmath.", "re.", "json.", "_json.", "datetime.", "decimal.", "fractions.", "itertools.",
    "operator.", "_operator.", "statistics.", "string.", "textwrap.", "unicodedata.", "collections.", "copy.",
    "difflib.", "hashlib.", "_hashlib.", "base64.", "binascii.", "html.", "urllib.parse.", "dataclasses.",
    "enum.", "typing.", "fnmatch.", "bisect.bisect", "_bisect.bisect", "calendar.", "zoneinfo.",
    "ipaddress.", "logging.", "warnings.",
    "time.", "posixpath.", "ntpath.", "os.path.", "numbers.", "functools.partial", "functools.reduce",
    "functools.cmp_to_key", "pprint.", "asyncio.sleep", "asyncio.gather", "asyncio.tasks.sleep",
    "asyncio.tasks.gather", "contextlib.suppress", "contextlib.nullcontext", "contextlib.closing",
    "sqlalchemy.sql.",
)  # fmt: skip
_ACTING_MODULES = ("subprocess.", "shutil.", "smtplib.", "ctypes.", "posix.", "nt.", "os.")
_OS_READS = frozenset(
    "getcwd listdir scandir stat lstat getenv access cpu_count getpid walk fspath uname times urandom".split()
)
_RANDOM_MODULES = ("random.", "secrets.", "uuid.", "numpy.random.")
_RANDOM_METHODS = frozenset("random randint randrange choice choices shuffle sample uniform gauss".split())
_NETWORK_READS = {f"{home}.{name}" for home in ("requests", "requests.api", "httpx", "httpx._api")
                  for name in ("get", "head", "options")}  # fmt: skip
_NETWORK_READS |= {"urllib.request.urlopen"}
_PURE_BUILTINS = frozenset(
    """
    abs all any ascii bin bool bytes bytearray callable chr complex dict divmod enumerate filter float format
    frozenset getattr hasattr hash hex id int isinstance issubclass iter len list map max memoryview min
    object oct ord pow print range repr reversed round set slice sorted str sum super tuple type zip
    """.split()
)
PURE_METHODS = frozenset(
    """
    get items keys values lower upper strip lstrip rstrip split rsplit splitlines join format startswith
    endswith copy model_dump isoformat strftime date time timestamp weekday total_seconds json text
    raise_for_status title capitalize casefold encode decode count index find rfind isdigit isalpha isalnum
    isupper islower isspace zfill ljust rjust center partition rpartition removeprefix removesuffix
    most_common
    union intersection difference issubset issuperset isdisjoint group groups groupdict match search findall
    fetchone fetchall fetchmany mappings scalars as_posix exists is_file is_dir read_text read_bytes glob
    iterdir stat model_copy model_dump_json cursor connect rows close
    debug info warning error exception translate expandtabs __getitem__ __contains__
    """.split()
)
MUTATORS = frozenset(
    """
    append extend insert remove pop popitem clear update setdefault add discard sort reverse appendleft
    popleft extendleft rotate __setitem__ __delitem__ __next__ intersection_update difference_update
    symmetric_difference_update
    """.split()
)
_RUNS_SQL = frozenset(
    {"execute", "executemany", "executescript", "exec_driver_sql", "fetchval", "fetchrow", "fetch"}
)
_CACHE_DECORATORS = frozenset(
    {"cache", "lru_cache", "cached_property", "cached", "memoize", "ttl_cache", "alru_cache"}
)
_CALLERS = frozenset({"execute", "exec", "invoke", "apply", "eval", "generate"})
_WRITES_ON_OBJECTS = frozenset({"post", "put", "patch", "set", "update", "commit", "push"})
_HARMLESS_DECORATORS = frozenset(
    """
    tool read_only compensatable confirmation_required staticmethod classmethod override traceable property
    is_tool abstractmethod
    """.split()
)


class Kind(StrEnum):
    """What a call does."""

    PURE = "pure"
    READS = "reads"
    WRITES = "writes"
    RANDOM = "random"
    MUTATES = "mutates"
    FOLLOW = "follow"
    OPAQUE = "opaque"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """`what` names the call for a person; `target` is what it mutates or the function to read next."""

    kind: Kind
    what: str = ""
    target: Any = None


def judge(call: ast.Call, body: Body, local: set[str]) -> Judged:  # noqa: C901, PLR0911 - a list of cases, first match wins
    """What one call does. Not knowing is OPAQUE, which speaks neither way."""
    name = dotted(call.func, body, local)
    short = _short(call.func)
    found = resolve(call.func, body, local)
    if name in {"io.open", "_io.open"}:
        return _open(call)
    if name.startswith("builtins."):
        known = _builtin(name.removeprefix("builtins."), call)
        if known is not None:
            return known
    if isinstance(found, type) and (issubclass(found, BaseException) or _is_record(found)):
        return Judged(kind=Kind.PURE)
    if isinstance(found, FunctionType | MethodType) and body.package and _home(found) == body.package:
        return Judged(kind=Kind.FOLLOW, target=found, what=short)
    if name.startswith(_RANDOM_MODULES):
        return Judged(kind=Kind.RANDOM, what=name)
    if name in _NETWORK_READS and not _sends(call):
        return Judged(kind=Kind.READS, what=name)
    if isinstance(call.func, ast.Attribute) and not isinstance(
        resolve(call.func.value, body, local), ModuleType
    ):
        # Before the modules: `Counter.update` stands in `collections` and changes its object.
        known = _method(call, call.func.value, short)
        if known is not None:
            return known
    if name.startswith(_PURE_MODULES) or name == "pathlib.Path":
        return Judged(kind=Kind.PURE)
    if name.startswith(_ACTING_MODULES):
        return Judged(kind=Kind.PURE if short in _OS_READS else Kind.WRITES, what=f"{name}()")
    return _by_name(short, name)


def _method(call: ast.Call, owner: ast.expr, short: str) -> Judged | None:
    if short in _RUNS_SQL and call.args and (known := _sql(call.args[0])) is not None:
        return known
    if short in _RANDOM_METHODS:
        return Judged(kind=Kind.RANDOM, what=f".{short}()")
    if short in MUTATORS:
        return Judged(kind=Kind.MUTATES, what=f".{short}()", target=owner)
    # `text.replace(old, new)` and `day.replace(tzinfo=...)` make new things, `path.replace(to)` moves a file.
    if short in PURE_METHODS or (short == "replace" and len(call.args) != 1):
        return Judged(kind=Kind.PURE)
    return None


def _builtin(name: str, call: ast.Call) -> Judged | None:
    if name in {"setattr", "delattr", "exec", "eval", "__import__", "compile", "input"}:
        return Judged(kind=Kind.WRITES, what=f"{name}()")
    if name in {"next", "anext"} and call.args:
        return Judged(kind=Kind.MUTATES, what="next()", target=call.args[0])
    if name in _PURE_BUILTINS:
        return Judged(kind=Kind.PURE)
    return None


def _open(call: ast.Call) -> Judged:
    mode = call.args[1] if len(call.args) > 1 else None
    mode = next((word.value for word in call.keywords if word.arg == "mode"), mode)
    plain = mode is None or (isinstance(mode, ast.Constant) and not set(str(mode.value)) & set("wax+"))
    return Judged(kind=Kind.READS if plain else Kind.WRITES, what="open()" if plain else "open() for writing")


def _sends(call: ast.Call) -> bool:
    # urlopen with a body is a POST.
    return len(call.args) > 1 or any(word.arg in {"data", "json", "content"} for word in call.keywords)


def _home(found: FunctionType | MethodType) -> str:
    return (getattr(found, "__module__", None) or "").partition(".")[0]


def _is_record(found: type) -> bool:
    """Whether making one is harmless: a dataclass, a pydantic model, an enum without code of its own."""
    made = {
        name
        for part in found.__mro__[:-1]
        for name in vars(part)
        if name in {"__post_init__", "model_post_init"}
    }
    plain = hasattr(found, "__dataclass_fields__") or issubclass(found, tuple)
    return plain and not made


def _by_name(short: str, name: str) -> Judged:
    """A call of something that could not be followed, by what it is called."""
    shown = f"{name or short or 'something'}()"
    words = split_name(short)
    known = verb(words[0]) if words else None
    if known is not None and known.form is Form.BASE:
        acts = known.base in lexicon.WRITE - _CALLERS or known.base in _WRITES_ON_OBJECTS
        return Judged(kind=Kind.WRITES if acts else Kind.OPAQUE, what=shown)
    return Judged(kind=Kind.OPAQUE, what=shown)


def _sql(node: ast.expr) -> Judged | None:
    # `text("...")` wraps a statement in SQLAlchemy.
    if isinstance(node, ast.Call) and _short(node.func) == "text" and node.args:
        node = node.args[0]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        does = statements.effect_of(node.value)
        shown = " ".join(node.value.split())[:60]
        kind = {statements.Does.READS: Kind.READS, statements.Does.WRITES: Kind.WRITES}.get(does, Kind.OPAQUE)
        return Judged(kind=kind, what=f"the statement {shown!r}")
    if isinstance(node, ast.JoinedStr | ast.BinOp):
        return Judged(kind=Kind.OPAQUE, what="a statement put together at run time")
    return None


def decorator(node: ast.expr) -> Judged:
    """What a decorator adds to a function."""
    name = _short(node.func if isinstance(node, ast.Call) else node)
    if name in _CACHE_DECORATORS:
        return Judged(kind=Kind.WRITES, what=f"@{name}")
    return Judged(kind=Kind.PURE if name in _HARMLESS_DECORATORS else Kind.OPAQUE, what=f"@{name}")


def _short(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
