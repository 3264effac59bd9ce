"""Images of the user's own are sent and imported once for each node and content."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakes import FakeGuests

from halab.errors import LabProblem
from halab.images.image_archive import ImageArchive
from halab.lifecycle import own_images
from halab.process import Completed


@pytest.fixture
def archive(tmp_path: Path) -> ImageArchive:
    file = tmp_path / "a.tar"
    file.write_text("images")
    return ImageArchive("images/a.tar", str(file), "5e5", 6, ("shop.example/web:1",))


def bring(archive: ImageArchive, guests: FakeGuests) -> int:
    return len(own_images.bring([archive], guests, "cp1", 1))


def test_an_image_that_a_node_lacks_is_sent_and_imported(archive: ImageArchive) -> None:
    guests = FakeGuests({r"\| sha256sum --check --status 2": Completed(1, "", "")})
    assert bring(archive, guests) == 1
    sent = next(call for call in guests.calls if call.input_file)
    assert sent.input_file == Path(archive.path)
    assert "images import --local /var/lib/halab/own-images/5e5.tar" in guests.commands("cp1")[-1]


def test_an_image_that_a_node_has_is_not_sent_again(archive: ImageArchive) -> None:
    guests = FakeGuests({"images ls": "5e5\nshop.example/web:1\n"})
    assert bring(archive, guests) == 0
    assert len(guests.calls) == 1


@pytest.mark.parametrize("there", ["5e5\n", "shop.example/web:1\n", "0ther\nshop.example/web:1\n"])
def test_an_image_that_was_removed_or_changed_is_imported_again(archive: ImageArchive, there: str) -> None:
    assert bring(archive, FakeGuests({"images ls": there})) == 1


def test_the_error_of_containerd_names_the_file_and_the_machine(archive: ImageArchive) -> None:
    guests = FakeGuests({"images import": Completed(1, "", "ctr: image might be filtered out")})
    with pytest.raises(LabProblem) as caught:
        bring(archive, guests)
    assert (
        caught.value.message == "containerd on cp1 refused images/a.tar:\nctr: image might be filtered out"
    )
    assert "another architecture" in (caught.value.hint or "")


def test_a_file_that_is_gone_is_reported(archive: ImageArchive) -> None:
    Path(archive.path).unlink()
    with pytest.raises(LabProblem, match="cannot read .*a.tar"):
        bring(archive, FakeGuests())
