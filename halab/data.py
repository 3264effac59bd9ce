"""The files that halab carries: templates, boxes, scenarios and the Vagrantfile."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def root() -> Path:
    """A checkout uses its own folders, an installed wheel the copies inside the package."""
    carried = _PACKAGE / "data"
    return carried if carried.is_dir() else _PACKAGE.parent


def templates() -> Path:
    return root() / "templates"


def boxes() -> Path:
    return root() / "boxes"


def box_names() -> list[str]:
    """The boxes that halab builds."""
    return sorted(path.stem for path in boxes().glob("*.yml"))


def scenarios() -> Path:
    return root() / "scenarios"


def bugs() -> Path:
    """The public reports, a folder for each."""
    return scenarios() / "bugs"


def drills() -> Path:
    return scenarios() / "drills"
