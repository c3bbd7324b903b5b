"""The JSON Schema of policy files, for editors."""

from __future__ import annotations

from typing import Any

from specflow.policy.document import Document


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) generated from the models that read the files."""
    made = Document.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "specflow-policy.v1.schema.json",
        **made,
        "title": "specflow policy, version 1",
    }
