"""Small changes of a module's source, each of which a test should notice, for scripts/mutants.

Most are made by Cosmic Ray's operators; those here add what it lacks. A change that the program cannot show (in a type,
a decorator, a docstring or an assertion) is none.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import parso
from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator

# Of each kind of operator, its neighbour and its opposite: the other replacements fall to the same tests.
_COSMIC_RAY = (
    *(
        f"ReplaceComparisonOperator_{pair}"
        for pair in (
            "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt",
            "Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is",
        )
    ),
    *(
        f"ReplaceBinaryOperator_{pair}"
        for pair in (
            "Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul",
            "BitOr_BitAnd", "BitAnd_BitOr", "BitXor_BitAnd",
        )
    ),
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_USub_UAdd",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    "NumberReplacer",
    "ZeroIterationForLoop",
)  # fmt: skip
# What a name is swapped for: a function anywhere, a value only behind the name of its kind.
_FUNCTIONS = {"min": ("max",), "max": ("min",), "any": ("all",), "all": ("any",)}
_VALUES = {
    "State": ("MET", "BROKEN", "OPEN"),
    "Standing": ("KEPT", "BROKEN", "UNJUDGED", "LEFT_OUT"),
    "Verdict": ("PASS", "FAIL", "ERROR", "SKIP"),
    "CheckState": ("PASSED", "FAILED", "ERROR", "SKIPPED"),
    "Origin": ("HEAL", "INJECT"),
    "When": ("BEFORE", "AFTER"),
}


@dataclass(frozen=True)
class Mutant:
    """One change in a module. `place` is the function or class around it, `was` and `becomes` the lines.

    `statement` is the whole statement at the module's top level that holds the change, as changed.
    """

    module: str
    place: str
    line: int
    was: str
    becomes: str
    statement: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What stays the same while the code around it changes."""
        return self.module, self.place, self.was, self.becomes


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module, each once, in the order of the lines."""
    lines = source.splitlines(keepends=True)
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
        # parsed alone: that is much faster than the whole module again and again
        yield from _of_statement(module, "".join(lines[first - 1 : node.end_lineno]), first)


def _of_statement(module: str, source: str, line: int) -> Iterator[Mutant]:
    nodes = list(ast_nodes(get_ast(source)))
    seen = {program(source)}
    for operator in _operators():
        for number in range(sum(len(list(operator.mutation_positions(node))) for node in nodes)):
            changed = mutate_code(source, operator, number)
            try:
                does = program(changed)
            except SyntaxError:
                continue
            if does not in seen:
                seen.add(does)
                yield _described(module, source, changed, line)


@cache
def _operators() -> tuple[Operator, ...]:
    made = [plugins.get_operator(f"core/{name}")() for name in _COSMIC_RAY]
    return (*made, SwapName(), SwapMembership(), NegateFilter(), DropStatement())


class SwapName(Operator):  # type: ignore[misc]
    """`min` for `max`, `State.MET` for `State.OPEN`."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        for _ in self._others(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.value = self._others(node)[index]
        return node

    @staticmethod
    def _others(node: Any) -> tuple[str, ...]:
        if node.type != "name":
            return ()
        before = node.get_previous_leaf()
        if before is None or before.value != ".":
            following = node.get_next_leaf()
            return _FUNCTIONS.get(node.value, ()) if following is not None and following.value == "(" else ()
        values = _VALUES.get(before.get_previous_leaf().value, ())
        return tuple(value for value in values if value != node.value) if node.value in values else ()

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class SwapMembership(Operator):  # type: ignore[misc]
    """`in` for `not in`."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "comparison":
            for each in node.children[1::2]:
                if self._words(each) in (["in"], ["not", "in"]):
                    yield each.start_pos, each.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        places = [
            number for number, each in enumerate(node.children) if number % 2 and "in" in self._words(each)
        ]
        was = self._words(node.children[places[index]])
        node.children[places[index]] = parso.parse(" not in" if was == ["in"] else " in")
        return node

    @staticmethod
    def _words(node: Any) -> list[str]:
        return str(node.get_code()).split()

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class NegateFilter(Operator):  # type: ignore[misc]
    """The condition of a comprehension becomes its opposite."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type in ("comp_if", "old_comp_if"):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.children[1] = parso.parse(f" not ({node.children[1].get_code().strip()})")
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class DropStatement(Operator):  # type: ignore[misc]
    """A simple statement of a function becomes `pass`."""

    _KEPT = (
        "import_name",
        "import_from",
        "assert_stmt",
        "global_stmt",
        "nonlocal_stmt",
        "string",
        "keyword",
    )

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "simple_stmt" and self._is_in_function(node):
            statement = node.children[0]
            if statement.type not in self._KEPT and not self._declares(statement):
                yield statement.start_pos, statement.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        statement = node.children[0]
        node.children[0] = parso.parse(f"{statement.get_first_leaf().prefix}pass")
        return node

    @staticmethod
    def _declares(statement: Any) -> bool:
        """`answered: float | None`, without a value."""
        return statement.type == "expr_stmt" and "=" not in statement.get_code()

    @staticmethod
    def _is_in_function(node: Any) -> bool:
        around = node.parent
        while around is not None and around.type not in ("funcdef", "classdef"):
            around = around.parent
        return around is not None and around.type == "funcdef"

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


def program(source: str) -> str:
    """What a source does, without what does nothing: types, decorators, docstrings, assertions."""
    return ast.dump(_Bare().visit(ast.parse(source)))


class _Bare(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        node.decorator_list = []
        self.generic_visit(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.decorator_list = []
        self.generic_visit(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        # how an argument may be given is a matter of style
        node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
        node.defaults = [*node.defaults, *filter(None, node.kw_defaults)]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        self.generic_visit(node)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        self.generic_visit(node)
        return None if isinstance(node.value, ast.Constant) else node

    def visit_Assert(self, node: ast.Assert) -> None:
        return None


def _described(module: str, source: str, changed: str, line: int) -> Mutant:
    before, after = source.splitlines(), changed.splitlines()
    matched = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    edits = [each for each in matched if each[0] != "equal"]
    (_, start, _, new_start, _), (_, _, end, _, new_end) = edits[0], edits[-1]
    return Mutant(
        module=module,
        place=place_of(source, start + 1),
        line=line + start,
        was=_tidy(before[start:end]),
        becomes=_tidy(after[new_start:new_end]),
        statement=changed,
    )


def _tidy(lines: Sequence[str]) -> str:
    """On one line, with single spaces: how code is broken into lines is no part of a change."""
    return " ".join(" ".join(lines).split())


def place_of(source: str, line: int) -> str:
    """The innermost function or class that a line is in, `Track.before`; empty outside of any."""
    names: list[str] = []
    around: ast.AST | None = ast.parse(source)
    while around is not None:
        around = next((each for each in ast.iter_child_nodes(around) if _holds(each, line)), None)
        names += [around.name] if isinstance(around, ast.FunctionDef | ast.ClassDef) else []
    return ".".join(names)


def _holds(node: ast.AST, line: int) -> bool:
    end = getattr(node, "end_lineno", None)
    return end is not None and node.lineno <= line <= end  # type: ignore[attr-defined]
