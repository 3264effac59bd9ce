"""Manifests of the user's own: what is in them, and what is wrong with them, before any machine exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.config import manifests
from halab.config.manifests import Object, parse
from halab.errors import BadFile, BadUsage

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
WEB = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\n"


def problems(text: str, name: str = "a.yaml") -> list[str]:
    with pytest.raises(BadFile) as caught:
        parse(text, name)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_may_have_several_documents_and_empty_ones() -> None:
    text = f"# a comment\n---\n{NAMESPACE}---\n---\n{WEB}"
    assert parse(text, "a.yaml") == (
        Object("v1", "Namespace", "shop"),
        Object("apps/v1", "Deployment", "web", "shop"),
    )


def test_a_list_has_the_objects_of_its_items() -> None:
    items = "".join(f"- {text.replace(chr(10), chr(10) + '  ').rstrip()}\n" for text in (NAMESPACE, WEB))
    assert [thing.name for thing in parse(f"apiVersion: v1\nkind: List\nitems:\n{items}", "a.yaml")] == [
        "shop",
        "web",
    ]


def test_json_may_be_indented_with_tabs() -> None:
    text = '{\n\t"apiVersion": "v1",\n\t"kind": "Service",\n\t"metadata": {"name": "web"}\n}'
    assert parse(text, "a.json") == (Object("v1", "Service", "web"),)


def test_anchors_and_words_of_yaml_1_1_are_left_to_the_api() -> None:
    text = f"{WEB}spec:\n  a: &a {{on: yes}}\n  b: *a\n  c: 0777\n  d: !!binary aGk=\n"
    assert parse(text, "a.yaml") == (Object("apps/v1", "Deployment", "web", "shop"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{NAMESPACE}---\nkind: Service\nmetadata: {{name: web}}\n", "a.yaml:5: apiVersion: is missing"),
        (f"{NAMESPACE}---\n- one\n", "a.yaml:5: not an object of Kubernetes: a mapping with apiVersion and kind"),
        (f"{NAMESPACE}---\na: [1\nb: 2\n", "a.yaml:6: malformed YAML: "),
        ("apiVersion: v1\nkind: Pod\nspec: {}\n", "a.yaml:1: metadata.name: is missing"),
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  generateName: x-\n", "a.yaml:4: metadata.name: is missing: "),
        ("# nothing\n", "a.yaml:1: has no object of Kubernetes"),
        ("a: \x85\udc80", "a.yaml:1: "),
    ],
)  # fmt: skip
def test_an_error_has_its_line(text: str, expected: str) -> None:
    [problem] = problems(text)
    assert problem.startswith(expected)


def test_all_problems_of_a_file_are_reported_at_once() -> None:
    assert len(problems("kind: A\n---\nkind: B\n")) == 2


def test_malformed_json_has_its_line() -> None:
    assert problems('{\n"a": 1,\n}', "a.json")[0].startswith("a.json:3: malformed JSON: ")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    for name, text in {
        "b.yml": WEB,
        "a.yaml": NAMESPACE,
        ".hidden.yaml": "x: [",
        "README.md": "# x",
    }.items():
        (tmp_path / "shop" / name).write_text(text)
    return tmp_path


def test_a_folder_is_read_in_the_order_of_its_names(folder: Path) -> None:
    assert [manifest.name for manifest in manifests.read(folder, "shop/")] == ["shop/a.yaml", "shop/b.yml"]


def test_the_hash_changes_with_the_names_and_with_the_contents(folder: Path) -> None:
    before = manifests.sum_of(manifests.read(folder, "shop"))
    (folder / "shop" / "b.yml").rename(folder / "shop" / "c.yml")
    renamed = manifests.sum_of(manifests.read(folder, "shop"))
    (folder / "shop" / "c.yml").write_text(f"{WEB}spec: {{replicas: 2}}\n")
    assert len({before, renamed, manifests.sum_of(manifests.read(folder, "shop"))}) == 3


def test_a_folder_without_manifests_is_refused(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(BadUsage, match=r"empty has no file that ends with \.yaml, \.yml, \.json"):
        manifests.read(folder, "empty")


def test_a_kustomization_is_refused_with_the_command_that_builds_it(folder: Path) -> None:
    (folder / "shop" / "kustomization.yaml").write_text("resources: [a.yaml]\n")
    with pytest.raises(BadUsage) as caught:
        manifests.read(folder, "shop")
    assert "kubectl kustomize shop >shop.yaml" in (caught.value.hint or "")


def test_a_missing_file_is_refused(folder: Path) -> None:
    with pytest.raises(BadUsage, match=r"no such file: .*/none\.yaml"):
        manifests.read(folder, "none.yaml")
