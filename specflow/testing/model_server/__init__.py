"""A model that says what a script tells it, over real HTTP, in the shape of OpenAI's chat completions."""

from specflow.testing.model_server.recorded import recorded_script
from specflow.testing.model_server.reply import CallPlan, Reply, ScriptedError, Usage
from specflow.testing.model_server.request import SeenRequest
from specflow.testing.model_server.script import Script, ScriptLike, as_script, first_times
from specflow.testing.model_server.server import ModelServer
from specflow.testing.model_server.tokens import count_tokens, split_tokens

__all__ = [
    "CallPlan",
    "ModelServer",
    "Reply",
    "Script",
    "ScriptLike",
    "ScriptedError",
    "SeenRequest",
    "Usage",
    "as_script",
    "count_tokens",
    "first_times",
    "recorded_script",
    "split_tokens",
]
