"""Every name specflow gives to a span, an attribute or a metric, in one place.

The GenAI semantic conventions are still in development: the strings under "GenAI" are those of v1.41.0
and change here and nowhere else.
"""

from __future__ import annotations

from typing import Final

INSTRUMENTATION: Final = "specflow"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"

# GenAI semantic conventions, v1.41.0
GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_AGENT_NAME: Final = "gen_ai.agent.name"
GEN_AI_CONVERSATION_ID: Final = "gen_ai.conversation.id"
GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"
GEN_AI_TOOL_TYPE: Final = "gen_ai.tool.type"
GEN_AI_TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
GEN_AI_TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
GEN_AI_TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
OPERATION_INVOKE_AGENT: Final = "invoke_agent"
OPERATION_CHAT: Final = "chat"
OPERATION_EXECUTE_TOOL: Final = "execute_tool"
ERROR_TYPE: Final = "error.type"
ERROR_OTHER: Final = "_OTHER"

# What Phoenix reads to draw a span; without it a span shows as UNKNOWN.
OPENINFERENCE_KIND: Final = "openinference.span.kind"

# Spans. Early work never uses OPERATION_EXECUTE_TOOL: dashboards would count the tool twice.
SPAN_DISPATCH: Final = "specflow.dispatch"
SPAN_SPECULATE: Final = "specflow.speculate"
SPAN_RUN: Final = "specflow.run"
SPAN_COMPENSATE: Final = "specflow.compensate"
SPAN_INTERRUPT: Final = "specflow.interrupt"
EVENT_WITHHELD: Final = "specflow.withheld"
EVENT_KEPT: Final = "specflow.kept"
EVENT_CONVERSATION_BRANCHED: Final = "specflow.conversation_branched"

# Attributes. Times in seconds.
SESSION_ID: Final = "specflow.session.id"
TURN_ID: Final = "specflow.turn.id"
TURN_TOOLS: Final = "specflow.turn.tools"
TURN_CALLS: Final = "specflow.turn.calls"
TURN_LAUNCHED: Final = "specflow.turn.launched"
CALL_ID: Final = "specflow.call.id"
EFFECT_ID: Final = "specflow.effect.id"
BRANCH_ID: Final = "specflow.branch.id"
BRANCH_PARENT: Final = "specflow.branch.parent"
BRANCH_DEPTH: Final = "specflow.branch.depth"
BRANCH_ODDS: Final = "specflow.branch.odds"
BRANCH_PRESUMED: Final = "specflow.branch.presumed"
SPECULATION_ID: Final = "specflow.speculation.id"
TOOL: Final = "specflow.tool"
OUTCOME: Final = "specflow.outcome"
CAUSE: Final = "specflow.cause"
MISFIRE: Final = "specflow.misfire"
PREDICTOR: Final = "specflow.predictor"
CONFIDENCE: Final = "specflow.confidence"
TAINTED: Final = "specflow.tainted"
EFFECT_CLASS: Final = "specflow.effect.class"
POLICY_HASH: Final = "specflow.policy.hash"
POLICY_REASONS: Final = "specflow.policy.reasons"
ARGS_HASH: Final = "specflow.args.hash"
RUN_OUTCOME: Final = "specflow.run.outcome"
DECISION: Final = "specflow.decision"
SAVED: Final = "specflow.saved_time"
WASTED: Final = "specflow.wasted_time"
RUNWAY: Final = "specflow.runway"
PATCHED: Final = "specflow.patched"
SETTLED_PREFIX: Final = "specflow.settled."
LINK_KIND: Final = "specflow.link"

# Outcomes that exist only on spans: what a span says that never heard its real end.
OUTCOME_WAITING: Final = "waiting"
OUTCOME_LOST: Final = "lost"
OUTCOME_STUCK: Final = "stuck"

# Metrics
METRIC_SPECULATIONS: Final = "specflow.speculations"
METRIC_MISFIRES: Final = "specflow.misfires"
METRIC_COMPENSATIONS: Final = "specflow.compensations"
METRIC_CALLS: Final = "specflow.calls"
METRIC_SAMPLES: Final = "specflow.samples"
METRIC_MODEL_CALLS: Final = "specflow.model_calls"
METRIC_SAVED: Final = "specflow.speculation.saved_time"
METRIC_WASTED: Final = "specflow.speculation.wasted_time"
METRIC_RUNWAY: Final = "specflow.speculation.runway"
LABEL_TOOL: Final = "tool"
LABEL_PREDICTOR: Final = "predictor"
LABEL_MISFIRE: Final = "misfire"
LABEL_OUTCOME: Final = "outcome"
LABEL_GROUP: Final = "group"
BUCKETS_SECONDS: Final = tuple(round(0.01 * 2**power, 2) for power in range(14))

# Environment
ENV_CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
ENV_HASH_KEY: Final = "SPECFLOW_HASH_KEY"


def shown(name: str, limit: int = 64) -> str:
    """A tool's or predictor's name fit for a span name or a label.

    A name may come from a model's output, so control characters go and length is capped.
    """
    text = name[: limit + 1]
    if text.isprintable():
        return text if len(text) <= limit else text[:limit] + "..."
    return "".join(char if char.isprintable() else "?" for char in text[:limit])
