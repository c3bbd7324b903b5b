"""The parts of the concurrency bench: a model in another process, and a look at where a thread is."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time

import openai
import yaml

from specflow.bench.elsewhere import server_elsewhere
from specflow.bench.whereabouts import Whereabouts, package_of
from specflow.testing.model_server import Reply


def test_the_model_answers_from_a_process_of_its_own_that_ends_with_the_bench() -> None:
    with server_elsewhere([Reply(text="Hello.")], pace=None) as url:
        (process,) = multiprocessing.active_children()
        with openai.OpenAI(base_url=url, api_key="none") as client:
            asked = client.chat.completions.create(model="any", messages=[{"role": "user", "content": "Hi"}])
        assert asked.choices[0].message.content == "Hello."
    assert not process.is_alive()


def test_where_a_thread_is() -> None:
    assert package_of(None) == "python"
    assert package_of(sys._getframe()) != "idle"
    until = time.monotonic() + 0.5
    with Whereabouts() as watch:
        while time.monotonic() < until:
            yaml.safe_load("{a: [1, 2, {b: c}]}")
    assert watch.seen.most_common(1)[0][0] == "yaml"
    assert watch.shares(1).startswith("yaml ")


def test_a_loop_that_waits_is_idle() -> None:
    with Whereabouts() as watch:
        asyncio.run(asyncio.sleep(0.3))
    assert watch.seen.most_common(1)[0][0] == "idle"
