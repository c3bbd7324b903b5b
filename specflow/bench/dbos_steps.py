"""A process that runs steps of DBOS as it is told: `python -m specflow.bench.dbos_steps URL`.

On its standard input, each line is `{"steps": N, "at_once": M}`; the answer to it is `{"us": T}`,
microseconds for each step.
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import import_module
from time import perf_counter
from typing import Any


def main(url: str) -> None:
    """Answer until the input ends."""
    library: Any = import_module("dbos")
    dbos: Any = library.DBOS
    dbos(config={"name": "bench", "system_database_url": url, "log_level": "CRITICAL"})

    async def step(number: int) -> dict[str, str]:
        return {"id": f"B-{number}"}

    durable = dbos.step()(step)

    async def steps(count: int) -> tuple[float, float]:
        started = perf_counter()
        for number in range(count):
            await durable(number)
        return started, perf_counter()

    workflow = dbos.workflow()(steps)
    dbos.launch()

    async def measured(count: int, at_once: int) -> float:
        share = max(1, count // at_once)
        times: list[tuple[float, float]] = await asyncio.gather(*(workflow(share) for _ in range(at_once)))
        # From the first step on: beginning a workflow is durable, too, and not what is measured.
        first, last = min(begun for begun, _ in times), max(ended for _, ended in times)
        return 1e6 * (last - first) / (share * at_once)

    with asyncio.Runner() as runner:
        for line in sys.stdin:
            wanted = json.loads(line)
            us = runner.run(measured(wanted["steps"], wanted["at_once"]))
            print(json.dumps({"us": us}), flush=True)
    dbos.destroy()


if __name__ == "__main__":
    main(sys.argv[1])
