"""LANGGRAPH: the only package that imports langgraph and langchain."""

try:
    from specflow.graph import compat as _compat  # noqa: F401 - the fragile names first: is all there?
except ImportError as error:
    from specflow.graph.versions import unusable

    raise unusable(error) from error
