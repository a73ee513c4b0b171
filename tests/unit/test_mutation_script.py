"""Mutants that the mutation testing script makes of a short source text."""

from __future__ import annotations

import ast

from dev.mutants import find_mutants

SOURCE = """
def fee(amount: int, limits: Literal[1], log) -> int:
    log.info("%d", amount + 1)
    if amount > 3 and not log:
        raise ValueError(f"{amount + 1} is too much")
    return amount
"""


def mutants(source: str, seed: int = 1) -> list[tuple[str, str, str]]:
    return [
        (mutant.facts["mutator"], mutant.facts["before"], mutant.facts["after"])
        for mutant in find_mutants(ast.parse(source), seed)
    ]


def test_each_mutator_outside_annotations_and_messages():
    assert sorted(mutants(SOURCE)) == [
        ("and/or", "amount > 3 and (not log)", "amount > 3 or not log"),
        ("comparison", "amount > 3", "amount >= 3"),
        ("drop not", "not log", "log"),
        ("drop return value", "return amount", "return None"),
        ("integer + 1", "3", "4"),
        ("swap branches", "if amount > 3 and (not log):", "if not (amount > 3 and (not log)):"),
    ]


def test_each_mutant_changes_one_line_and_leaves_the_tree_as_it_was():
    tree = ast.parse(SOURCE)
    original = ast.unparse(tree)
    for mutant in find_mutants(tree):
        lines = zip(mutant.source(tree).splitlines(), original.splitlines(), strict=True)
        assert sum(changed != line for changed, line in lines) == 1
    assert ast.unparse(tree) == original


def test_order_depends_on_the_seed_and_not_on_other_statements():
    edited = "LIMIT = None\n" + SOURCE.replace("    return", "    log(amount)\n    return")
    assert mutants(edited) == mutants(SOURCE)
    assert mutants(SOURCE, seed=2) != mutants(SOURCE)


def test_equal_statements_have_mutants_of_their_own():
    found = find_mutants(ast.parse("x = 1\nx = 1"))
    assert {mutant.facts["line"] for mutant in found} == {1, 2}
    assert len({mutant.facts["id"] for mutant in found}) == 2
