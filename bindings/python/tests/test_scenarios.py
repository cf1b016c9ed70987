"""The client does what each scenario of core/scenarios says, through poll and complete."""

from __future__ import annotations

import pytest

import scenario

CASES = dict(scenario.cases())


@pytest.mark.parametrize("title", CASES)
def test_the_client_does_what_the_scenario_says(title: str) -> None:
    scenario.run(CASES[title])


def test_all_scenarios_are_run() -> None:
    assert len(scenario.files()) >= 81
    assert len(CASES) >= 363


def test_a_scenario_that_expects_something_else_fails() -> None:
    changed = dict(CASES["lease-refreshed"])
    changed["steps"] = changed["steps"][:-1] + [{**changed["steps"][-1], "expect": {}}]
    with pytest.raises(AssertionError, match=r"leases\[0\]: not expected"):
        scenario.run(changed)
