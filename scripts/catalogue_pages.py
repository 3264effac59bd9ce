"""The pages of scenarios, drills and bugs as Markdown. Part of the site."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

import yaml
from recorded_timelines import Picture

from halab.bugs.library import Bug
from halab.cli.bugs import paragraphs
from halab.config.quantities import format_duration, format_minutes
from halab.drill.course import Course
from halab.drill.library import DrillScript
from halab.report.scenario_comment import figures, parted
from halab.scenario.run import description
from halab.scenario.run.description import Paragraph
from halab.scenario.run.duration import longest_seconds
from halab.scenario.run.library import Script

# Texts in a narrower picture are too small.
_READABLE = "min-width: 860px; max-width: none; width: 100%"


def scenario(script: Script, pictures: Sequence[Picture]) -> str:
    """The page of a scenario of halab."""
    written = script.scenario
    tags = ", ".join(f"`{tag}`" for tag in written.tags)
    return "\n\n".join(
        [
            f"# {_text(written.title)}",
            _text(written.teaches),
            f"Tags: {tags}. It takes up to about {format_minutes(longest_seconds(written))}.",
            _block("bash", f"halab run {script.name}"),
            *_pictures(pictures),
            *_scenario(script, "##"),
        ]
    )


def bug(report: Bug, pictures: Sequence[Picture]) -> str:
    """The page of a public report that comes with halab."""
    # the first heading is the name, the last one the lab
    (_, symptom), *about, (_, _) = paragraphs(report)
    script = report.script
    return "\n\n".join(
        [
            f"# {_text(report.written.title)}",
            *map(_text, symptom),
            _block("bash", f"halab bugs reproduce {report.name}"),
            *_sections(about, "##"),
            *_pictures(pictures),
            "## Lab",
            _block("yaml", report.lab, "lab.yml"),
            "## Scenario",
            _text(script.scenario.teaches),
            *_scenario(script, "###"),
        ]
    )


def drill(course: Course, script: DrillScript) -> str:
    """The page of a drill: what a learner may know before it begins, and no word about the break."""
    written = script.drill
    # what the seed draws is not shown: each attempt has a seed of its own
    situation = yaml.safe_load(script.content).get("initial_situation", "")
    needs = ", ".join(f"[{name}]({name}.md)" for name in written.needs)
    lab = written.requires.model_dump(mode="json", exclude_defaults=True)
    about = {
        "Course": f"{course.title}, lesson {written.lesson}",
        "Difficulty": str(written.difficulty),
        "Takes about": format_duration(written.estimated_time),
        "Do this before": needs,
        "Needs a lab with": ", ".join(f"`{name}: {value}`" for name, value in lab.items()),
        "Hints": str(len(written.hints)),
    }
    return "\n\n".join(
        [
            f"# {_text(written.title)}",
            "\n".join(f"- {name}: {value}" for name, value in about.items() if value),
            "## Situation",
            situation.strip(),
            _block("bash", f"halab drill start {script.name}"),
            "How drills work: [Practise with drills](../../how-to/drills.md).",
        ]
    )


def _scenario(script: Script, heading: str) -> Iterator[str]:
    """The sections of a scenario: its steps with their figures, its promises, its losing twin and its file."""
    # the first paragraph is its name, the last one the path of its file
    _, *about, _ = description.paragraphs(script)
    before, blocks, rest = parted(script.content.decode())
    for name, sentences in about:
        yield f"{heading} {name}"
        yield _steps(script, blocks) if name == "Steps" else _list(sentences)
        if name == "Steps":
            yield from (_text(text) for text, measured in map(figures, blocks) if not measured)
    if not script.is_own:
        yield _block("bash", f"halab prove {script.name}")
    yield f"{heading} File"
    yield _block("yaml", re.sub(r"\A# yaml-language-server: .*\n", "", before) + rest, script.path.name)


def _steps(script: Script, blocks: Iterable[str]) -> str:
    """A table of the steps and the recovery, with a column for the figures of each place."""
    places = [(heading, measured) for heading, measured in map(figures, blocks) if measured]
    steps = [
        (f"step {n}", f"{n}. {description.step_in_words(step)}")
        for n, step in enumerate(script.scenario.steps, 1)
    ]
    steps.append(("recovery", f"The lab is {description.recovery(script.scenario)}."))
    rows = [["step", *(heading for heading, _ in places)]]
    rows += [[text, *(measured.get(name, "") for _, measured in places)] for name, text in steps]
    head, *body = (f"| {' | '.join(_text(cell) for cell in row)} |" for row in rows)
    return "\n".join([head, f"|{' --- |' * len(rows[0])}", *body])


def _sections(sections: Iterable[Paragraph], heading: str) -> Iterator[str]:
    for name, sentences in sections:
        yield f"{heading} {_text(name)}"
        yield _list(sentences)


def _list(sentences: Sequence[str]) -> str:
    return (
        "\n".join(f"- {_text(sentence)}" for sentence in sentences)
        if len(sentences) > 1
        else _text(*sentences)
    )


def _pictures(pictures: Sequence[Picture]) -> Iterator[str]:
    """The timelines of recorded runs, one below the other. A small screen scrolls them; a click opens one alone."""
    if pictures:
        yield "## Recorded runs"
    for picture in pictures:
        image = f'<img alt="Timeline: {picture.title}" src="{picture.file}" style="{_READABLE}">'
        yield f'{picture.title}\n\n<div style="overflow-x: auto"><a href="{picture.file}">{image}</a></div>'


def _text(text: str) -> str:
    """A text for a page: nothing in it is Markdown, except code between backticks."""
    words = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(
        word
        if word.startswith("`")
        else re.sub(r"([\\*_\[\]])", r"\\\1", html.escape(word, quote=False)).replace("|", "&#124;")
        for word in words
    )


def _block(language: str, text: str, title: str = "") -> str:
    head = f'{language} title="{title}"' if title else language
    return f"```{head}\n{text.strip()}\n```"
