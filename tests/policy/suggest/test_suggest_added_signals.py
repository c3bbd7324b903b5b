"""Signals added after the first scoring: what each takes for a read, and what it must not."""

from __future__ import annotations

from typing import Any

import pytest

from specflow.effects.kind import EffectClass
from specflow.policy.suggest import Hints, Subject, conversions, propose, prose, siblings
from specflow.policy.suggest.evidence import Artefact, Evidence, Says
from specflow.policy.suggest.parameters import evidence as of_parameters

NUMBER = {"type": "number"}


def speaks(found: list[Evidence]) -> set[tuple[Artefact, Says]]:
    return {(item.artefact, item.says) for item in found}


READ = {(Artefact.NAME, Says.READ)}


@pytest.mark.parametrize(
    ("name", "parameters", "reads"),
    [
        ("celsius_to_kelvin", {"value": NUMBER}, True),
        ("unit_conversion", {"amount": NUMBER, "unit": {"type": "string"}}, True),
        ("price_comparison", {}, True),
        # They make, send or store something: text goes in, or a verb of change stands in the name.
        ("text_to_speech", {"text": {"type": "string"}}, False),
        ("message_to_user", {"message": {}}, False),
        ("add_to_cart", {"count": NUMBER}, False),
        ("seconds_to_minutes", {}, False),
        ("seconds_to_minutes", {"value": {"type": ["number"]}}, False),
        ("to_kelvin", {"value": NUMBER}, False),
        ("a_to_b_to_c", {"value": NUMBER}, False),
        ("conversion", {}, False),
        ("record_conversion", {}, False),
        ("email_verification", {}, False),
    ],
)
def test_names_of_computations(name: str, parameters: dict[str, Any], reads: bool) -> None:
    assert speaks(conversions.evidence(name, parameters)) == (READ if reads else set())


@pytest.mark.parametrize(
    ("text", "vetoed"),
    [
        ("Request wifi status", False),
        ("Request the state", False),
        ("Request a refund", True),
        ("Request status update", True),
        ("Request a new address and set its status", True),
        ("Request access to the status", True),
        ("Requests a callback", True),
    ],
)
def test_requests(text: str, vetoed: bool) -> None:
    found = prose.evidence(text)
    assert any(item.vetoes for item in found) == vetoed
    assert not any(item.says is Says.READ for item in found)


def tool(name: str, *parameters: str, told: str = "", **more: Any) -> Subject:
    schema = {"properties": {key: {} for key in parameters}, "required": list(parameters)}
    return Subject(name=name, description=told, parameters=schema, **more)


SIBLING = {(Artefact.SIBLING, Says.READ)}


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ((tool("get_wifi"), tool("set_wifi", "on")), SIBLING),
        ((tool("get_level", "room"), tool("set_level", "room", "level")), SIBLING),
        ((tool("get_wifi"), tool("set_wifi")), set()),
        ((tool("get_wifi", "on"), tool("set_wifi", "on")), set()),
        ((tool("get_wifi"), tool("set_radio", "on")), set()),
        ((tool("get_wifi"), tool("update_wifi", "on")), set()),
        ((tool("fetch_wifi"), tool("set_wifi", "on")), set()),
        ((tool("get"), tool("set", "on")), set()),
    ],
)
def test_getters_beside_setters(tools: tuple[Subject, ...], said: set[tuple[Artefact, Says]]) -> None:
    assert speaks(siblings.evidence(tools[0], tools)) == said


SLACK = tuple(tool(name) for name in ("slack_get_users", "slack_post_message", "slack_x", "slack_list_open"))


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        (SLACK, READ),
        ((SLACK[1], *SLACK), set()),
        ((SLACK[2], *SLACK), set()),
        (SLACK[:3], set()),
        ((*SLACK, tool("other_thing")), set()),
        ((*SLACK, tool("other_thing", origin="elsewhere")), READ),
        (tuple(tool(f"get_{name}_x") for name in ("list", "find", "read", "show")), set()),
        (tuple(tool(f"slack_got_{name}") for name in "abcd"), set()),
        (tuple(tool(f"slack_gets_{name}") for name in "abcd"), set()),
    ],
)
def test_verbs_behind_a_word_that_all_names_share(
    tools: tuple[Subject, ...], said: set[tuple[Artefact, Says]]
) -> None:
    assert speaks(siblings.evidence(tools[0], tools)) == said


def test_names_of_one_server_without_trust_stay_one_witness() -> None:
    def effect(*, trusted: bool) -> EffectClass:
        tools = [tool("get_wifi", trusted=trusted), tool("set_wifi", "on", trusted=trusted)]
        return propose(tools)[0].effect

    assert effect(trusted=True) is EffectClass.READ_ONLY
    assert effect(trusted=False) is EffectClass.CONFIRMATION_REQUIRED


def test_a_veto_goes_before_every_added_signal() -> None:
    hints = Hints(read_only=False)
    tools = [
        tool("get_wifi", hints=hints),
        tool("set_wifi", "on"),
        tool("unit_conversion", told="Converts it.", hints=hints),
    ]
    assert all(item.effect is EffectClass.CONFIRMATION_REQUIRED for item in propose(tools))


@pytest.mark.parametrize(
    ("name", "about", "told", "vetoed"),
    [
        ("function", "", "Evaluate JavaScript on the page", True),
        ("expression", "() => 1", "Evaluates it", True),
        ("expression", "such as 2 + 2", "Calculate the result of a mathematical expression", False),
        ("responseFilePath", "The path to save the response body to.", "", True),
        ("filename", "Where to store what was found", "", True),
        ("path", "Path of the file to read", "", False),
        ("path", "Saved searches only", "", False),
        ("note", "Saves it to the file", "", False),
        ("path", 7, "", False),
    ],
)
def test_parameters_found_on_public_servers(name: str, about: object, told: str, vetoed: bool) -> None:
    found = of_parameters({name: {"type": "string", "description": about}}, told)
    assert any(item.vetoes for item in found) == vetoed
