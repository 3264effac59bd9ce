"""The size of a lab: read from words, and checked against the lab file."""

from __future__ import annotations

import pytest

from halab.config.lab import LabFile
from halab.config.lab_size import LabSize, problems, resized
from halab.errors import BadUsage

THREE = LabSize(3, 0)


def test_words_change_what_they_name_and_nothing_else() -> None:
    assert THREE.changed(["control_planes=5"]) == LabSize(5, 0)
    assert THREE.changed(["workers=2", "control_planes=1"]) == LabSize(1, 2)
    assert THREE.changed([]) == THREE


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("5", "not a size of a lab: 5"),
        ("control_planes", "not a size of a lab: control_planes"),
        ("control_plane=5", "did you mean control_planes?"),
        ("control_planes=", "control_planes should be a number from 1 to 5, not empty"),
        ("control_planes=0", "control_planes should be a number from 1 to 5, not 0"),
        ("control_planes=6", "control_planes should be a number from 1 to 5, not 6"),
        ("control_planes=-1", "not -1"),
        ("workers=21", "workers should be a number from 0 to 20, not 21"),
        ("workers=two", "not two"),
    ],
)
def test_a_wrong_word_is_refused_with_the_reason(word: str, message: str) -> None:
    with pytest.raises(BadUsage, match=f"{message}$|{message}".replace("?", r"\?")):
        THREE.changed([word])


def test_a_size_that_is_given_twice_is_refused() -> None:
    with pytest.raises(BadUsage, match="workers is given twice"):
        THREE.changed(["workers=1", "workers=2"])


def test_a_size_is_read_from_the_names_of_machines() -> None:
    assert LabSize.of_names(["lb1", "cp1", "cp2", "w1"]) == LabSize(2, 1)
    assert LabSize.of_names([]) == LabSize(0, 0)


def test_the_larger_of_two_sizes_has_the_most_of_each() -> None:
    assert LabSize(5, 0).joined(LabSize(1, 2)) == LabSize(5, 2)


def test_a_lab_file_is_read_as_if_it_had_the_size() -> None:
    file = resized(LabFile(name="ha"), LabSize(5, 2))
    assert LabSize.of_file(file) == LabSize(5, 2)


def lab_file(**machines: dict[str, object]) -> LabFile:
    return LabFile.model_validate({"network": "10.213.7.0/24", "control_planes": 3, "machines": machines})


def test_a_new_machine_must_not_have_the_address_of_another() -> None:
    written = lab_file(cp1={"address": "10.213.7.14"})
    assert list(problems(written, THREE)) == []
    assert list(problems(written, LabSize(4, 0))) == ["machines.cp1.address is the address of cp4 too"]


def test_settings_of_machines_that_leave_may_stay_in_the_file() -> None:
    assert list(problems(lab_file(cp3={"cpus": 4}), LabSize(1, 0))) == []
