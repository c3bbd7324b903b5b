"""OpenAPI documents: every operation once, references followed safely, nothing fetched, nothing blown up."""

# ruff: noqa: E501 - tables of cases read best with a case per line

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from specflow.errors import ConfigurationError
from specflow.policy.suggest import openapi, propose

PETS = """
openapi: 3.1.0
paths:
  /pets:
    get:
      operationId: listPets
      summary: List all pets
      parameters: [{$ref: '#/components/parameters/Limit'}, {in: query}, 3, {$ref: 'https://elsewhere.example/x'}]
    post:
      operationId: createPet
      description: Creates a pet.
      requestBody: {content: {text/plain: {}, application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
      responses: {'201': {content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}, default: {}}
  /pets/{petId}:
    parameters: [{name: petId, in: path, required: true, schema: {type: string, description: which}}]
    delete: {operationId: deletePet, responses: {'200': {}, '204': {}}}
    get: {operationId: [], summary: Gets one pet and its owner, responses: {'200': {content: {application/json: {}}}}}
    trace: nonsense
  /loop: {$ref: '#/paths/~1loop'}
  /odd: 3
components:
  parameters: {Limit: {name: limit, in: query, description: how many, schema: {$ref: '#/components/schemas/Size'}}}
  schemas:
    Size: {type: integer}
    Named: {properties: {name: {type: string}}, required: [name, absent]}
    Pet:
      allOf: [{$ref: '#/components/schemas/Named'}, {$ref: '#/components/schemas/Pet'}]
      properties: {id: {type: string}, parent: {$ref: '#/components/schemas/Pet'}}
      required: [id]
"""
SWAGGER: dict[str, Any] = {
    "swagger": "2.0",
    "paths": {
        "/orders/{id}": {
            "put": {
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "type": "string"},
                    {
                        "name": "order",
                        "in": "body",
                        "schema": {"properties": {"state": {}}, "required": ["state"]},
                    },
                ],
                "responses": {"200": {"schema": {"properties": {"id": {"type": "string"}}}}},
            }
        }
    },
}


def test_every_operation(tmp_path: Path) -> None:
    path = tmp_path / "pets.yaml"
    path.write_text(PETS)
    found = {subject.name: subject for subject in openapi.read(path)}
    assert set(found) == {"listPets", "createPet", "deletePet", "get_pets_petId"}
    listing, creating, deleting = found["listPets"], found["createPet"], found["deletePet"]
    assert listing.properties == {"limit": {"type": "integer", "description": "how many"}}
    assert creating.required == {"id", "name", "absent"}
    assert listing.required == {openapi.UNRESOLVED}  # a parameter that is defined elsewhere
    assert creating.result is not None
    assert set(creating.result["properties"]) == {"id", "name", "parent"}
    assert deleting.properties["petId"] == {"type": "string", "description": "which"}
    assert (deleting.required, deleting.result) == ({"petId"}, None)
    assert deleting.operation is not None
    assert (deleting.operation.method, deleting.operation.path) == ("DELETE", "/pets/{petId}")
    assert deleting.origin == f"{path} DELETE /pets/{{petId}}"
    proposed = {item.subject.name: item for item in propose(list(found.values()))}
    assert {name: item.effect.value for name, item in proposed.items()} == {
        "listPets": "read_only",
        "createPet": "compensatable",
        "deletePet": "confirmation_required",
        "get_pets_petId": "read_only",
    }
    undo = proposed["createPet"].compensator
    assert undo is not None
    assert undo.arguments == {"petId": "result.id"}


def test_swagger_as_json(tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    path.write_text(json.dumps(SWAGGER))
    [subject] = openapi.read(path)
    assert subject.name == "put_orders_id"
    assert (subject.required, set(subject.properties)) == ({"id", "state"}, {"id", "state"})
    assert subject.result == {"type": "object", "properties": {"id": {"type": "string"}}, "required": []}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1", "neither"),
        ("[]", "neither"),
        ("", "neither"),
        ("{", "not JSON"),
        ("{" * 100_000, "not JSON"),
        ("a: [", "not YAML"),
        ("a: \x00", "not YAML"),
        ("a: &x 1\nb: *x", "anchors"),
        ("a: " + "[" * 200 + "]" * 200, "nested"),
        ("openapi: 3\n---\nopenapi: 3", "not YAML"),
    ],
)
def test_documents_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        openapi.read(path)


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        openapi.read(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        openapi.read(tmp_path / "binary.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        openapi.read(tmp_path / "pipe.yaml")
    monkeypatch.setattr(openapi, "MAX_BYTES", 1)
    (tmp_path / "large.yaml").write_text(PETS)
    with pytest.raises(ConfigurationError, match="larger than"):
        openapi.read(tmp_path / "large.yaml")


def test_too_many_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openapi, "MAX_OPERATIONS", 1)
    with pytest.raises(ConfigurationError, match="more than 1 operations"):
        openapi.subjects(yaml.safe_load(PETS), "pets")


def test_an_endless_chain_of_parts_ends() -> None:
    schema: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(100):
        schema = {"allOf": [schema], "properties": {"b": {}}}
    document = {
        "openapi": "3",
        "paths": {"/x": {"post": {"requestBody": {"content": {"a/json": {"schema": schema}}}}}},
    }
    [subject] = openapi.subjects(document, "x")
    assert set(subject.properties) == {"b"}
    assert openapi.UNRESOLVED in subject.required


@pytest.mark.parametrize(
    "paths", [None, [], {"/x": {"get": {"parameters": {}, "responses": [], "requestBody": 3}}}]
)
def test_malformed_parts_count_as_empty(paths: Any) -> None:
    assert all(
        subject.properties == {} for subject in openapi.subjects({"openapi": "3", "paths": paths}, "x")
    )


def test_without_libyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Without:
        BaseLoader = yaml.BaseLoader

    monkeypatch.setattr(importlib, "import_module", lambda name: Without)
    path = tmp_path / "pets.yaml"
    path.write_text(PETS)
    assert len(openapi.read(path)) == 4


def test_an_undo_whose_inputs_are_not_known_is_none() -> None:
    def effect(body: Any) -> str:
        document = {
            "openapi": "3.0.0",
            "paths": {
                "/a": {
                    "post": {
                        "operationId": "create_a",
                        "responses": {"200": {"schema": {"properties": {"a_id": {}}}}},
                    }
                },
                "/a/d": {
                    "post": {
                        "operationId": "delete_a",
                        "parameters": [{"name": "a_id", "in": "query", "required": True, "schema": {}}],
                        **body,
                    }
                },
            },
        }
        return propose(openapi.subjects(document, "x"))[0].effect.value

    assert effect({}) == "compensatable"
    assert effect({"requestBody": {"$ref": "https://elsewhere.example/body"}}) == "confirmation_required"
    assert effect({"requestBody": {"content": {"text/plain": {}}}}) == "confirmation_required"
