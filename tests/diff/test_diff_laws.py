"""Laws of comparing two runs, on hundreds of random ones: a change is found, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logtracer import Node, NodeStatus, TraceGraph
from logtracer_extras.diff import Change, TraceDiff, diff
from steps import TOKENS, Step, copy_of, parents_of, random_run, trace_of

SEEDS = st.integers(0, 2**32)
ORDINARY = settings(max_examples=100)  # of each law


def compared(before: Step, after: Step) -> TraceDiff:
    """Compare two trees as two runs with other ids, at another time, at another speed."""
    return diff(trace_of(before), trace_of(after, prefix="b", tempo=1.7, later=3600))


def only_change(before: Step, after: Step) -> Change:
    changes = compared(before, after).changes
    assert len(changes) == 1, changes
    return changes[0]


def some_step(random: Random, root: Step) -> Step:
    return random.choice(root.walk()[1:])


def insert_at_random(random: Random, parent: Step, step: Step) -> None:
    parent.children.insert(random.randrange(len(parent.children) + 1), step)


# Each of these changes a tree and returns what the one reported change must be.

Expected = tuple[str, str, dict[str, Any], int]  # kind, name, input, steps
Mutation = Callable[[Random, Step], Expected]


def insert(random: Random, root: Step) -> Expected:
    new = Step(random.choice("abc"), "tool_call", {"prompt": "new"})
    new.children = [Step("d", "llm_call", {"prompt": str(at)}) for at in range(random.randrange(3))]
    insert_at_random(random, random.choice(root.walk()), new)
    return "added", new.name, new.given, len(new.walk())


def delete(random: Random, root: Step) -> Expected:
    old = some_step(random, root)
    parents_of(root)[old].children.remove(old)
    return "removed", old.name, old.given, len(old.walk())


def move(random: Random, root: Step) -> Expected:
    step = some_step(random, root)
    parent = parents_of(root)[step]
    inside = set(step.walk())
    targets = [other for other in root.walk() if other not in inside and other is not parent]
    if not targets:
        targets = [Step("a", "tool_call", {"prompt": "elsewhere"})]
        return insert(random, root)
    parent.children.remove(step)
    insert_at_random(random, random.choice(targets), step)
    return "moved", step.name, step.given, 1


def rename(random: Random, root: Step) -> Expected:
    step = some_step(random, root)
    step.name = "another name"
    return "renamed", step.name, step.given, 1


def retry(random: Random, root: Step) -> Expected:
    first = some_step(random, root)
    siblings = parents_of(root)[first].children
    second = Step(first.name, first.node_type, first.given, retry_of=first)
    siblings.insert(siblings.index(first) + 1, second)
    return "added", second.name, second.given, 1


def edit_prompt(random: Random, root: Step) -> Expected:
    step = some_step(random, root)
    step.given["prompt"] = "edited"
    return "changed", step.name, step.given, 1


def change_argument(random: Random, root: Step) -> Expected:
    step = some_step(random, root)
    step.given["arguments"]["items"][1]["n"] = 2
    return "changed", step.name, step.given, 1


def duplicate(random: Random, root: Step) -> Expected:
    step = some_step(random, root)
    insert_at_random(random, parents_of(root)[step], copy_of(step))
    return "added", step.name, step.given, len(step.walk())


def change_status(random: Random, root: Step) -> Expected:
    return set_fact(some_step(random, root), "status", NodeStatus.CANCELLED)


def change_error(random: Random, root: Step) -> Expected:
    return set_fact(some_step(random, root), "error", "no such file")


def change_model(random: Random, root: Step) -> Expected:
    step = some_step(random, root)
    return set_fact(step, "metadata", step.facts["metadata"] | {"gen_ai.request.model": "small"})


def change_tokens(random: Random, root: Step) -> Expected:
    step = some_step(random, root)
    return set_fact(step, "metadata", step.facts["metadata"] | {TOKENS: 999})


def set_fact(step: Step, name: str, value: object) -> Expected:
    step.facts[name] = value
    return "changed", step.name, step.given, 1


# And where the change is, for those that change a value.
PLACES: dict[Mutation, list[str]] = {
    insert: [],
    delete: [],
    move: [],
    rename: ["name"],
    retry: [],
    edit_prompt: ["input.prompt"],
    change_argument: ["input.arguments.items[1].n"],
    duplicate: [],
    change_status: ["status"],
    change_error: ["error"],
    change_model: ["metadata.gen_ai.request.model"],
    change_tokens: [f"metadata.{TOKENS}"],
}


@pytest.mark.parametrize("mutate", PLACES, ids=lambda mutate: mutate.__name__)
@given(seed=SEEDS)
@ORDINARY
def test_each_change_of_a_run_is_reported_exactly_and_alone(mutate: Mutation, seed: int) -> None:
    random = Random(seed)
    before = random_run(random)
    after = copy_of(before)
    kind, name, given_, steps = mutate(random, after)
    change = only_change(before, after)
    assert (change.kind, change.node.name, change.steps) == (kind, name, steps)
    assert change.node.input_data == given_
    assert [item.path for item in change.fields] == PLACES[mutate]


@given(seed=SEEDS)
@ORDINARY
def test_the_order_of_parallel_steps_is_no_difference(seed: int) -> None:
    random = Random(seed)
    before = random_run(random)
    after = copy_of(before)
    for step in after.walk():
        if step.is_parallel:
            random.shuffle(step.children)
    assert compared(before, after).changes == []


@given(seed=SEEDS, unique=st.booleans())
@ORDINARY
def test_a_rerun_with_other_ids_and_times_is_the_same(seed: int, unique: bool) -> None:
    run = random_run(Random(seed), unique=unique)
    difference = compared(run, copy_of(run))
    assert (difference.changes, difference.first) == ([], None)
    assert difference.counts["same"] == len(run.walk()) == len(difference.pairs)


MANY = [insert, delete, move, rename, retry, duplicate, edit_prompt, change_status, change_error]


def two_runs(seed: int, unique: bool) -> tuple[Step, Step]:
    """Return two trees: one changed many times, or nothing alike at all."""
    random = Random(seed)
    before = random_run(random, unique=unique)
    after = copy_of(before) if random.random() < 0.7 else random_run(random, unique=unique)
    for mutate in random.choices(MANY, k=4):
        if len(after.walk()) > 1:
            mutate(random, after)
    return before, after


MIRRORED = {"added": "removed", "removed": "added", "slower": "faster", "faster": "slower"}


def mirrored(difference: TraceDiff) -> Counter[str]:
    return Counter(
        repr((MIRRORED.get(change.kind, change.kind), change.after, change.before, change.steps))
        + repr(sorted((item.path, repr(item.after), repr(item.before)) for item in change.fields))
        for change in difference.changes
    )


def plain(difference: TraceDiff) -> Counter[str]:
    return Counter(
        repr((change.kind, change.before, change.after, change.steps))
        + repr(sorted((item.path, repr(item.before), repr(item.after)) for item in change.fields))
        for change in difference.changes
    )


@given(seed=SEEDS, unique=st.booleans())
@ORDINARY
def test_comparing_the_other_way_round_says_the_mirror_image(seed: int, unique: bool) -> None:
    before, after = two_runs(seed, unique)
    one, other = trace_of(before), trace_of(after, prefix="b")
    forth, back = diff(one, other), diff(other, one)
    assert mirrored(forth) == plain(back)
    assert {there: here for here, there in forth.pairs.items()} == back.pairs
    if forth.first is not None and back.first is not None:
        assert forth.first.before is back.first.after
        assert forth.first.after is back.first.before


def applied(before: TraceGraph, difference: TraceDiff) -> dict[str, list[str]]:
    """Apply the reported changes to the first run; return the children of every step, by name.

    Steps of the result go by their ids in the second run, but nothing is looked up there except
    what an added branch consists of.
    """
    pairs = difference.pairs
    children: dict[str, list[str]] = {pairs.get(node_id, "-"): [] for node_id in before.nodes}
    children[""] = []
    leaving = {
        change.before.id
        for change in difference.changes
        if change.kind == "moved" and change.before
    }
    for node in before.nodes.values():
        if node.id in pairs and node.id not in leaving:
            children[pairs.get(node.parent_id or "", "")].append(pairs[node.id])
    new = {node.id for node in difference.after.nodes.values()} - set(pairs.values())
    for node_id in new:
        children[node_id] = []
    arriving: list[tuple[int, Node]] = []
    for change in difference.changes:
        if change.after is not None and change.kind in ("added", "moved"):
            arriving.append((change.position, change.after))
    arriving += _inside_added(difference, new)
    for position, node in sorted(arriving, key=lambda item: item[0]):
        children[node.parent_id or ""].insert(position, node.id)
    return children


def _inside_added(difference: TraceDiff, new: set[str]) -> list[tuple[int, Node]]:
    found = []
    for node_id in new:
        siblings = difference.after.children(node_id)
        found += [(at, child) for at, child in enumerate(siblings) if child.id in new]
    return found


@given(seed=SEEDS, unique=st.booleans())
@ORDINARY
def test_applying_the_changes_to_one_run_gives_the_structure_of_the_other(
    seed: int, unique: bool
) -> None:
    before, after = two_runs(seed, unique)
    for step in (*before.walk(), *after.walk()):
        step.is_parallel = False  # parallel steps have no order that could be restored
    one, other = trace_of(before), trace_of(after, prefix="b")
    difference = diff(one, other)
    result = applied(one, difference)
    result.pop("-", None)
    assert result.pop("") == [node.id for node in other.root_nodes]
    assert result == {node_id: [n.id for n in other.children(node_id)] for node_id in other.nodes}
    names = {there: one.nodes[here].name for here, there in difference.pairs.items()}
    for change in difference.changes:
        names[change.node.id] = change.node.name
    for node_id, name in names.items():
        if node_id in other.nodes:
            assert other.nodes[node_id].name == name


@given(seed=SEEDS, unique=st.booleans())
@ORDINARY
def test_every_step_of_both_runs_is_in_exactly_one_row(seed: int, unique: bool) -> None:
    before, after = two_runs(seed, unique)
    difference = compared(before, after)
    assert Counter(row.before.id for row in difference.rows if row.before) == Counter(
        difference.before.nodes.keys()
    )
    assert Counter(row.after.id for row in difference.rows if row.after) == Counter(
        difference.after.nodes.keys()
    )
    assert sum(difference.counts.values()) == len(difference.rows)
