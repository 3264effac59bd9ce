"""What people write in a drill file: a hidden break, tasks, hints, a solution, and attempts that must not pass."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from halab.config.expectation import Expectation, FactExpectation, ProbeExpectation, Text, Word
from halab.config.lab_traits import Needs
from halab.config.loading import Model
from halab.config.probe_options import ProbeOptions
from halab.config.quantities import Seconds
from halab.config.scenario import Recover, Scenario
from halab.config.step import Expect, Inject, Name, Step, one_of
from halab.config.twin import Twin

# The window of a task that is judged over a time: `during: check`.
CHECK = "check"


class Difficulty(StrEnum):
    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


class TaskMode(StrEnum):
    """Whether a task must hold when the attempt ends, or must have held at any check."""

    LEVEL = "level"
    EDGE = "edge"


class Violation(StrEnum):
    """What must not happen during an attempt, if the drill says so. It fails the attempt at once."""

    LOST_WRITE = "lost-write"
    NEW_CLUSTER = "new-cluster"
    RESET_NODE = "reset-node"


def _answers(value: Any) -> Any:
    """One right answer is a list of one."""
    if isinstance(value, list | tuple) and not value:
        raise ValueError("needs the right answer")
    return value if isinstance(value, list | tuple) else [value]


class Task(Model):
    """What the learner must reach: exactly one of `expect`, `check` and `answer` says how halab knows."""

    text: Text = Field(description="what the learner reads")
    points: int = Field(ge=1, le=1000)
    needs: tuple[Name, ...] = Field((), description="tasks that must be done before this one counts")
    mode: TaskMode = TaskMode.LEVEL
    expect: (
        Annotated[
            Annotated[ProbeExpectation, Tag("<probe>")] | Annotated[FactExpectation, Tag("<fact>")],
            Discriminator(
                one_of("probe", "fact"),
                custom_error_type="one_of",
                custom_error_message="needs exactly one of probe or fact",
            ),
        ]
        | None
    ) = None
    check: Text | None = Field(None, description="a file of testinfra checks")
    answer: Annotated[
        tuple[Word, ...] | None,
        BeforeValidator(_answers),
        WithJsonSchema(
            {"anyOf": [{"type": ["string", "number", "boolean"]}, {"type": "array", "minItems": 1}]}
        ),
    ] = Field(None, description="the right answer to a question, or several")
    tries: int = Field(2, ge=1, le=10, description="how many answers a learner may give")

    @property
    def kinds(self) -> list[str]:
        """What the file says of its condition; it must be exactly one."""
        return [name for name in ("expect", "check", "answer") if getattr(self, name) is not None]


class Hint(Model):
    example: ClassVar[str] = "{text: Look at the logs., cost: 5}"

    text: Text
    cost: int = Field(0, ge=0, le=1000, description="the points that it costs")
    after: Seconds | None = Field(None, description="it is free from this time of the attempt on")

    def price(self, seconds: float) -> int | None:
        """The points that it costs after so many seconds; None if it comes later."""
        if self.after is None:
            return self.cost
        return 0 if seconds >= self.after else self.cost or None


class Act(Model):
    """A script that a learner could run on a machine."""

    example: ClassVar[str] = "{on: cp1, run: systemctl restart kubelet}"

    on: Text = Field(description="a machine, a role, or the name of a fault of the break")
    run: Text = Field(description="what to run with bash, as root")
    limit: Seconds = Field(120.0, description="the time that it may take")


Attempts = dict[Name, Annotated[tuple[Act, ...], Field(min_length=1)]]


class Part(Model):
    """One break of an exam with its tasks; the seed draws some of the parts."""

    initial_situation: Text = Field(description="its symptoms, never the cause")
    breaks: tuple[Step, ...] = Field(alias="break", min_length=1, description="steps of a scenario")
    tasks: dict[Name, Task] = Field(min_length=1)
    hints: tuple[Hint, ...] = ()
    solve: tuple[Act, ...] = Field((), description="what solves it; not needed if all tasks are questions")
    wrong: Attempts = Field({}, description="attempts that must not pass if this part is drawn")
    debrief: Text = Field(description="what was broken, how to see it, and how to repair it")

    @property
    def total(self) -> int:
        return sum(task.points for task in self.tasks.values())


# A drill gets its breaks and tasks from its parts, or has them itself.
_FORMS = {"anyOf": [{"required": ["break", "tasks"]}, {"required": ["draw", "parts"]}]}


def _required_by_form(schema: dict[str, Any]) -> None:
    schema["required"] = [name for name in schema["required"] if name not in ("break", "tasks")]
    schema.update(_FORMS)


class Drill(Model):
    """A hidden break, and what a learner must reach. What the seed draws of `parts` is in the other fields."""

    model_config = ConfigDict(json_schema_extra=_required_by_form)

    title: Text
    difficulty: Difficulty
    course: Name
    lesson: int = Field(1, ge=1, le=99, description="its place in the course")
    needs: tuple[Name, ...] = Field((), description="drills that a learner should have passed before")
    estimated_time: Seconds
    requires: Needs = Field(Needs(), description="what the lab must have")
    vars: dict[Name, Annotated[tuple[Word, ...], Field(min_length=1)]] = Field(
        {}, description="values of which the seed picks one each; `{name}` stands for it"
    )
    initial_situation: Text = Field(description="the symptoms, never the cause")
    objective: Text
    breaks: tuple[Step, ...] = Field(alias="break", min_length=1, description="steps of a scenario")
    probes: ProbeOptions = ProbeOptions()
    tasks: dict[Name, Task] = Field(min_length=1)
    fail_if: tuple[Violation, ...] = Field(
        (), description="what must not happen; it fails an attempt at once"
    )
    observe: Seconds = Field(10.0, description="how long a check lasts for a task with `during: check`")
    hints: tuple[Hint, ...] = ()
    solve: tuple[Act, ...] = Field((), description="what solves it; not needed if all tasks are questions")
    wrong: Attempts = Field({}, description="attempts that must not pass; doing nothing is always tried")
    draw: int | None = Field(None, ge=1, le=20, description="how many of the parts the seed draws")
    parts: dict[Name, Part] = Field(
        {}, description="breaks of which the seed draws some, each with its tasks"
    )
    time_limit: Seconds | None = None
    passing_score: int = Field(70, ge=1, le=100, description="in percent of all points")
    debrief: Text = Field(description="what was broken, how to see it, and how to repair it")

    @property
    def total(self) -> int:
        return sum(task.points for task in self.tasks.values())

    @property
    def questions(self) -> dict[str, Task]:
        return {name: task for name, task in self.tasks.items() if task.answer is not None}

    @property
    def check_files(self) -> tuple[str, ...]:
        """The paths of its check files, without duplicates."""
        return tuple(dict.fromkeys(task.check for task in self.tasks.values() if task.check))

    @property
    def expected(self) -> dict[str, Expectation]:
        """The tasks that the sampler decides, by name."""
        return {name: task.expect for name, task in self.tasks.items() if task.expect is not None}

    @property
    def break_scenario(self) -> Scenario:
        """The break as a scenario; it is never judged as one."""
        return _scenario(self, self.breaks)

    @property
    def check_scenario(self) -> Scenario:
        """A check as a scenario: a fault called `check` that does nothing, and an expectation for each task."""
        steps = [Expect.model_construct(expectation=expected) for expected in self.expected.values()]
        return _scenario(self, (_WINDOW, *steps))


# A scenario has a recovery, a drill has none.
_NEVER_AWAITED = Recover(steady="within 0s")
_WINDOW = Inject(inject="nothing", name=CHECK, on="lb1")


def _scenario(drill: Drill, steps: tuple[Any, ...]) -> Scenario:
    return Scenario.model_construct(
        title=drill.title, teaches="", needs=drill.requires, steps=steps, probes=drill.probes,
        recover=_NEVER_AWAITED, twin=Twin(),
    )  # fmt: skip
