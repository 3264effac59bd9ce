"""The pages of the site that are not in docs/: one for each scenario, drill and bug. A hook of MkDocs: mkdocs.yml.

The navigation is the list of pages in docs/README.md. A link to the file of a scenario or a bug leads to its page.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import catalogue_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from recorded_timelines import Timelines

from halab.bugs import library as bugs
from halab.drill.course import courses
from halab.errors import HalabError
from halab.scenario.run import library

# Folders of recorded runs, with `:` between them: pages get pictures of the runs.
RUNS = "HALAB_SITE_RUNS"
# The pages below which the generated ones are in the navigation, with the folders of these.
LISTS = {
    "reference/scenario-list.md": "scenarios",
    "reference/drill-list.md": "drills",
    "reference/bug-list.md": "bugs",
}
# The files in the tree that have a page.
FILES = {f"scenarios/{name}.yml": f"reference/scenarios/{name}.md" for name in library.names()}
FILES |= {f"scenarios/bugs/{name}/bug.yml": f"reference/bugs/{name}.md" for name in bugs.names()}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    try:
        timelines = Timelines.of([Path(folder) for folder in os.environ.get(RUNS, "").split(":") if folder])
        pages = dict(generated(timelines))
    except HalabError as error:
        raise PluginError("; ".join(filter(None, (error.message, error.hint)))) from error
    except OSError as error:
        raise PluginError(str(error)) from error
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    index = Path(config.docs_dir, "README.md").read_text()
    config.nav = navigation(index, [path for path in pages if path.endswith(".md")])
    return files


def generated(timelines: Timelines) -> Iterator[tuple[str, str]]:
    """The paths and texts of the generated pages in their order, and of the pictures on them."""
    for name in library.names():
        pictures = list(timelines.of_scenario(name))
        yield f"reference/scenarios/{name}.md", catalogue_pages.scenario(library.find(name), pictures)
        yield from ((f"reference/scenarios/{picture.file}", picture.svg) for picture in pictures)
    for course in courses():
        for script in course.drills:
            yield f"reference/drills/{script.name}.md", catalogue_pages.drill(course, script)
    for name in bugs.names():
        bug = bugs.find(name)
        pictures = list(timelines.of_scenario(name, bug.written.shows))
        yield f"reference/bugs/{name}.md", catalogue_pages.bug(bug, pictures)
        yield from ((f"reference/bugs/{picture.file}", picture.svg) for picture in pictures)


def navigation(index: str, pages: Sequence[str]) -> list[Any]:
    """The sections of the index with the pages to which they link, and the generated pages below their lists."""
    sections: list[Any] = [{"Home": "README.md"}]
    seen = set()
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        entries: list[Any] = []
        for title, page in re.findall(r"\[([^\]]+)\]\(([\w/-]+\.md)\)", section):
            if page in seen:
                continue
            seen.add(page)
            below = [{Path(path).stem: path} for path in pages if Path(path).parent.name == LISTS.get(page)]
            title = " ".join(title.split())
            # the name of a command has no capital letter; code is not a letter
            title = (title[0].upper() + title[1:]).replace("`", "")
            entries.append({title: [{"All": page}, *below] if below else page})
        sections.append({section.splitlines()[0].partition(":")[0]: entries})
    return sections


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    return with_links(markdown, page.file.src_uri)


def with_links(markdown: str, page: str) -> str:
    """The text of a page, with links to pages instead of files in the tree; drills are linked in their list."""
    here = posixpath.dirname(page)

    def to_page(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", here, link[1]))
        return f"]({posixpath.relpath(FILES[path], here)})" if path in FILES else link[0]

    text = re.sub(r"\]\(([^()\s#]+)\)", to_page, markdown)
    if LISTS.get(page) == "drills":
        text = re.sub(r"(?<=\| )`([\w-]+)`(?= \|)", r"[\1](drills/\1.md)", text)
    return text
