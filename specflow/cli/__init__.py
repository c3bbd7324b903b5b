"""The `specflow` command. Exit codes everywhere: 0 fine, 1 findings or violations, 2 cannot do it."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    from specflow.cli.program import main as run

    run()
