"""
Mutants of a module: its syntax tree with one small fault.

The order of the mutants depends on the seed and on the text of each mutated statement, and not on line numbers or on
the module's path. So the same mutants come first again after unrelated edits.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

#: Operators that replace each other.
PAIRS: list[tuple[type[Any], type[Any]]] = [
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.In, ast.NotIn),
    (ast.Is, ast.IsNot),
    (ast.And, ast.Or),
    (ast.Add, ast.Sub),
]
SWAPPED = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
#: Methods of loggers; their arguments are text for people.
LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


def mutations(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Each mutator that applies to a node, with what replaces the node."""
    match node:
        case ast.Compare(left, ops, right):
            for i, op in enumerate(ops):
                yield "comparison", ast.Compare(left, [*ops[:i], SWAPPED[type(op)](), *ops[i + 1 :]], right)
        case ast.BoolOp(op, values):
            yield "and/or", ast.BoolOp(SWAPPED[type(op)](), values)
        case ast.UnaryOp(ast.Not(), operand):
            yield "drop not", operand
        case ast.BinOp(left, (ast.Add() | ast.Sub()) as op, right) if not (is_text(left) or is_text(right)):
            yield "+/-", ast.BinOp(left, SWAPPED[type(op)](), right)
        case ast.AugAssign(target, (ast.Add() | ast.Sub()) as op, value) if not is_text(value):
            yield "+/-", ast.AugAssign(target, SWAPPED[type(op)](), value)
        case ast.Constant(bool() as value):
            yield "True/False", ast.Constant(not value)
        case ast.Constant(int() as value):
            yield "integer + 1", ast.Constant(value + 1)
        case ast.Return(ast.expr() as value) if ast.unparse(value) != "None":
            yield "drop return value", ast.Return(ast.Constant(None))
        case ast.If(test) | ast.IfExp(test) if not is_negated_elsewhere(test):
            replacement = copy(node)
            replacement.test = ast.UnaryOp(ast.Not(), test)
            yield "swap branches", replacement


def is_negated_elsewhere(test: ast.expr) -> bool:
    """Whether the mutator of a condition swaps its branches as well."""
    match test:
        case ast.UnaryOp(ast.Not()):
            return True
        case ast.Compare(_, [ast.Eq() | ast.NotEq() | ast.In() | ast.NotIn() | ast.Is() | ast.IsNot()]):
            return True
    return False


def is_text(node: ast.AST) -> bool:
    """Whether a node is a text literal: on texts, a minus only raises TypeError."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def left_out(tree: ast.Module) -> set[ast.AST | None]:
    """
    Nodes that are not mutated.

    These are annotations, decorators, keywords of a class (``frozen=True``), ``__all__``, imports for type checkers, and
    the positional arguments of log calls and raised exceptions.
    """
    nodes: set[ast.AST | None] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Raise(ast.Call(_, args)):
                nodes.update(args)
            case ast.Call(ast.Attribute(attr=name), args) if name in LOG_METHODS:
                nodes.update(args)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                nodes.update([node.returns, *node.decorator_list])
            case ast.ClassDef():
                nodes.update([*node.keywords, *node.decorator_list])
            case ast.AnnAssign() | ast.arg():
                nodes.add(node.annotation)
            case ast.Assign([ast.Name("__all__")]) | ast.If(ast.Name("TYPE_CHECKING")):
                nodes.add(node)
    return nodes


@dataclass
class Mutant:
    """A fault of a module: ``container[key]``, a node of its syntax tree, and what replaces it."""

    facts: dict[str, Any]
    container: Any
    key: Any
    replacement: ast.AST

    def source(self, tree: ast.Module) -> str:
        """The module's text with this fault."""
        original, self.container[self.key] = self.container[self.key], self.replacement
        text = ast.unparse(tree)
        self.container[self.key] = original
        return text


def find_mutants(tree: ast.Module, seed: int = 1) -> list[Mutant]:
    """All mutants of a module, in an order that depends on the seed and on the text of the statements."""
    skipped, counts, mutants = left_out(tree), Counter[Any](), []

    def visit(node: ast.AST, function: str, statement: tuple[str, int]) -> None:
        for field, value in ast.iter_fields(node):
            container: Any = value if isinstance(value, list) else vars(node)
            for key in range(len(value)) if isinstance(value, list) else [field]:
                if isinstance(container[key], ast.AST) and container[key] not in skipped:
                    visit_child(container, key, function, statement)

    def visit_child(container: Any, key: Any, function: str, statement: tuple[str, int]) -> None:
        node: ast.AST = container[key]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            function, statement = f"{function}.{node.name}".lstrip("."), ("def", 0)
        elif isinstance(node, ast.stmt):
            text = ast.unparse(node).partition("\n")[0]  # without the statements inside it
            counts[function, text] += 1
            statement = (text, counts[function, text])
        for mutator, replacement in mutations(node):
            place = (function, statement, mutator)
            counts[place] += 1
            facts = {
                "id": sha256(repr((seed, *place, counts[place])).encode()).hexdigest()[:16],
                "line": getattr(node, "lineno", 0),
                "function": function,
                "mutator": mutator,
                "before": ast.unparse(node).partition("\n")[0],
                "after": ast.unparse(replacement).partition("\n")[0],
            }
            mutants.append(Mutant(facts, container, key, replacement))
        visit(node, function, statement)

    visit(tree, "", ("", 0))
    return sorted(mutants, key=lambda mutant: mutant.facts["id"])
