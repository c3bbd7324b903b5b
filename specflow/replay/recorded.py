"""Moved to `specflow.traces.recorded`."""

from specflow.traces.recorded import *  # noqa: F403 - goes with the last importer
