"""Make small changes to a module's source, each of which a test should notice. Part of scripts/mutants.

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

# Each operator becomes its neighbour and its opposite: the tests that notice these notice the other replacements too.
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
# Replacements of names: a function anywhere, a value only after the name of its class.
_FUNCTIONS = {"min": ("max",), "max": ("min",), "any": ("all",), "all": ("any",)}
_VALUES = {
    "JudgementState": ("MET", "BROKEN", "OPEN"),
    "PromiseStatus": ("KEPT", "BROKEN", "UNJUDGED", "LEFT_OUT"),
    "Verdict": ("PASS", "FAIL", "ERROR", "SKIP"),
    "CheckState": ("PASSED", "FAILED", "ERROR", "SKIPPED"),
    "Origin": ("HEAL", "INJECT"),
    "SteadyCheckPoint": ("BEFORE", "AFTER"),
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
        """Identify the mutant independently of its line."""
        return self.module, self.place, self.was, self.becomes


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Return every mutant of a module once, in the order of the lines."""
    lines = source.splitlines(keepends=True)
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))])
        # parse the statement alone: much faster than the complete module
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


class SwapName(Operator):
    """`min` for `max`, `JudgementState.MET` for `JudgementState.OPEN`."""

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


class SwapMembership(Operator):
    """`in` for `not in`."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type == "comparison":
            for operator in node.children[1::2]:
                if self._words(operator) in (["in"], ["not", "in"]):
                    yield operator.start_pos, operator.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        places = [
            number for number, child in enumerate(node.children) if number % 2 and "in" in self._words(child)
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


class NegateFilter(Operator):
    """Negate the condition of a comprehension."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if node.type in ("comp_if", "old_comp_if"):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.children[1] = parso.parse(f" not ({node.children[1].get_code().strip()})")
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class DropStatement(Operator):
    """Replace a simple statement of a function by `pass`."""

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
        """Whether a statement only declares a name: `answered: float | None`."""
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
    """Return the program of a source without types, decorators, docstrings and assertions."""
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
        # positional or keyword: a matter of style
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
    edits = [edit for edit in matched if edit[0] != "equal"]
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
    """Join lines with single spaces: line breaks are no part of a change."""
    return " ".join(" ".join(lines).split())


def place_of(source: str, line: int) -> str:
    """Return the innermost function or class around a line, such as `Track.before`; empty outside of any."""
    names: list[str] = []
    around: ast.AST | None = ast.parse(source)
    while around is not None:
        around = next((node for node in ast.iter_child_nodes(around) if _holds(node, line)), None)
        names += [around.name] if isinstance(around, ast.FunctionDef | ast.ClassDef) else []
    return ".".join(names)


def _holds(node: ast.AST, line: int) -> bool:
    return isinstance(node, ast.stmt | ast.expr) and node.lineno <= line <= (node.end_lineno or node.lineno)
