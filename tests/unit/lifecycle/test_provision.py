"""Provisioning: its order, how it continues after an interruption, and that it never logs secrets."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_provisioning import JOIN, Machines, kind_of
from support.fakes import FakeClock, FakeGuests, Recorded, lab_of

from halab.config.own_file import OwnFile
from halab.config.roles import Role
from halab.errors import BadFile, CommandFailed, HalabError, LabProblem, NotConnected, ScriptFailed, TimedOut
from halab.images.image_archive import ImageArchive
from halab.lifecycle import own_images
from halab.lifecycle.own_images import ComponentImage, NodeImages
from halab.lifecycle.provision import Provisioner
from halab.machines.work import Work
from halab.process import Completed
from halab.topology import files, setup_scripts
from halab.topology.files import HostValues
from halab.topology.lab import Lab

SECRETS = ("0123456789abcdef", "5ec2e7")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = Work(tmp_path / ".halab")
    work.logs.mkdir(parents=True)
    return work


def provision(lab: Lab, work: Work, guests: FakeGuests, progress: Recorded | None = None) -> int:
    host = HostValues(
        work=str(work.path), identity="here", base="box", private_key="key", public_key="pub", proxies={}
    )
    scripts = {name: OwnFile(Path(name), "true\n") for _, name in lab.setup.scripts()}
    work.write({**files.work_files(lab, host), **setup_scripts.rendered(lab, scripts, {})})
    return Provisioner(lab, work, guests, progress or Recorded(), FakeClock()).run()


def test_set_up_then_init_then_joins_one_by_one(work: Work) -> None:
    guests = Machines()
    assert provision(lab_of(workers=1), work, guests) == 5 + 4
    order = guests.happened("set-up", "init", "join")
    assert {machine for machine, _ in order[:5]} == {"lb1", "cp1", "cp2", "cp3", "w1"}
    assert {kind for _, kind in order[:5]} == {"set-up"}
    assert order[5] == ("cp1", "init")
    assert [machine for machine, kind in order[6:] if kind == "join"] == ["cp2", "cp3", "w1"]


SETUP = {"cp": {"before": "b.sh", "after": "a.sh"}, "worker": {"after": "a.sh"}}


def test_scripts_of_the_user_run_before_the_set_up_and_after_all_joins(work: Work) -> None:
    guests = Machines()
    provision(lab_of(control_planes=1, workers=1, setup=SETUP), work, guests)
    order = guests.happened("before", "set-up", "init", "join", "after")
    assert [kind for machine, kind in order if machine == "cp1"] == ["before", "set-up", "init", "after"]
    assert order.index(("w1", "join")) < min(
        index for index, (_, kind) in enumerate(order) if kind == "after"
    )
    assert ("w1", "after") in order
    assert ("w1", "before") not in order


def test_the_scripts_that_ran_are_shown_and_counted(work: Work) -> None:
    ran = {"cp1_before": "12:00:00 changed: ran b.sh\n", "cp1_after": "12:00:00 changed: ran a.sh\n"}
    guests, progress = Machines("cp1", "w1", **ran), Recorded()
    assert provision(lab_of(control_planes=1, workers=1, setup=SETUP), work, guests, progress) == 2
    assert "ran b.sh on cp1" in progress.lines
    assert progress.lines[-1] == "end run the scripts after the joins: ran on cp1"


def test_a_failed_script_of_the_user_is_named_with_its_machine(work: Work) -> None:
    output = Completed(1, "12:00:00 no space\n12:00:00 error: exit code of b.sh: 3\n", "")
    with pytest.raises(ScriptFailed) as caught:
        provision(lab_of(control_planes=1, setup=SETUP), work, Machines(before=output))
    assert caught.value.message.startswith("b.sh failed on cp1:")
    assert "the next `halab up` runs it again" in (caught.value.hint or "")


def test_every_join_gets_a_new_command_from_the_first_control_plane(work: Work) -> None:
    guests = Machines()
    provision(lab_of(), work, guests)
    order = guests.happened("material", "deliver", "join")
    assert order.count(("cp1", "material")) == 2
    # the second command may be made while cp2 joins
    commands = [at for at, event in enumerate(order) if event == ("cp1", "material")]
    for machine, command in zip(("cp2", "cp3"), commands, strict=True):
        assert command < order.index((machine, "deliver")) < order.index((machine, "join"))


def test_a_new_cluster_is_not_asked_for_what_earlier_joins_left(work: Work) -> None:
    guests = Machines(stale="10.213.7.12")
    provision(lab_of(), work, guests)
    assert guests.happened("forget") == []
    assert not any("delete node" in command for command in guests.commands("cp1"))


def test_the_next_join_begins_when_the_previous_member_votes(work: Work) -> None:
    next_has_begun = threading.Event()

    def join_of_cp2() -> str:
        assert next_has_begun.wait(30)
        return ""

    def join_of_cp3() -> str:
        next_has_begun.set()
        return ""

    guests = Machines("cp1", cp2_join=join_of_cp2, cp3_join=join_of_cp3)
    provision(lab_of(), work, guests)
    assert guests.happened("join") == [("cp2", "join"), ("cp3", "join")]


def test_kubeadm_does_not_run_on_machines_that_do_not_reach_each_other(work: Work) -> None:
    guests = Machines()
    guests.answers = {r"^cp2: .*\nreach": "lb1\n", **guests.answers}
    with pytest.raises(NotConnected, match=r"1 of 12 paths: cp2 → lb1"):
        provision(lab_of(), work, guests)
    assert guests.happened("init", "join") == []


def test_a_second_run_changes_nothing(work: Work) -> None:
    guests = Machines("cp1", "cp2", "cp3")
    progress = Recorded()
    assert provision(lab_of(), work, guests, progress) == 0
    assert guests.happened("init", "join", "material", "forget") == []
    assert progress.lines == ["begin set up 4 machines", "end set up 4 machines: nothing to change"]


def test_an_interrupted_run_is_continued(work: Work) -> None:
    guests = Machines("cp1", "cp2")
    assert provision(lab_of(), work, guests) == 1
    assert guests.happened("init", "join") == [("cp3", "join")]


def test_the_member_of_an_interrupted_join_is_removed_first(work: Work) -> None:
    guests = Machines("cp1", stale="10.213.7.12")
    provision(lab_of(), work, guests)
    order = guests.happened("forget", "join")
    assert order[0] == ("cp1", "forget")
    assert order[1:] == [("cp2", "join"), ("cp3", "join")]
    assert any("member remove ab" in command for command in guests.commands("cp1"))


def test_a_refused_member_removal_is_repeated(work: Work) -> None:
    refusals = iter([Completed(1, "", "Error: etcdserver: unhealthy cluster"), None])
    guests = Machines("cp1", stale="10.213.7.12", forget=lambda: next(refusals))
    provision(lab_of(), work, guests)
    assert guests.happened("forget", "join")[:3] == [("cp1", "forget"), ("cp1", "forget"), ("cp2", "join")]


def test_a_worker_has_no_member_to_remove(work: Work) -> None:
    guests = Machines("cp1", stale="10.213.7.21")
    provision(lab_of(control_planes=1, workers=1), work, guests)
    assert guests.happened("members", "forget") == []
    assert guests.happened("join") == [("w1", "join")]


def test_the_error_of_a_failed_join_names_script_machine_and_log(work: Work) -> None:
    guests = Machines(cp2_join=Completed(1, "12:00:01 error: no space left\n", ""))
    with pytest.raises(HalabError) as caught:
        provision(lab_of(), work, guests)
    assert caught.value.message.startswith("join.sh failed on cp2:")
    assert caught.value.hint == f"see the whole log: {work.logs / 'cp2.log'}"
    assert ("cp3", "join") not in guests.happened("join")


def test_no_join_follows_a_failed_init(work: Work) -> None:
    guests = Machines(init=Completed(1, "", ""))
    progress = Recorded()
    with pytest.raises(HalabError, match=r"init\.sh failed on cp1"):
        provision(lab_of(), work, guests, progress)
    assert guests.happened("material", "join") == []
    assert "fail kubeadm init on cp1" in progress.lines


def test_secrets_are_in_no_log_and_no_rendered_file(work: Work) -> None:
    guests = Machines()
    provision(lab_of(), work, guests)
    (delivered, _) = (call for call in guests.calls if kind_of(call) == "deliver")
    assert delivered.input == JOIN + "\n"
    assert all(call.log is None for call in guests.calls if kind_of(call) in ("material", "deliver"))
    assert not any(secret in call.command for call in guests.calls for secret in SECRETS)
    for path in work.path.rglob("*"):
        if path.is_file():
            assert not any(secret in path.read_text() for secret in SECRETS), path


@pytest.mark.parametrize(
    "answer",
    [
        Completed(1, JOIN, f"{JOIN}\nerror: the controller-manager did not sign"),
        Completed(0, "", "error: the controller-manager did not sign"),
        Completed(0, "something else", "error: the controller-manager did not sign"),
    ],
)
def test_a_missing_join_command_is_an_error_without_secrets(work: Work, answer: Completed) -> None:
    with pytest.raises(LabProblem) as caught:
        provision(lab_of(), work, Machines(material=answer))
    text = f"{caught.value.message}{caught.value.hint}"
    assert "cp1 did not print a join command: error: the controller-manager did not sign" in text
    assert not any(secret in text for secret in SECRETS)


def test_patience_stretches_the_limits(work: Work) -> None:
    guests = Machines()
    provision(lab_of(patience=3), work, guests)
    limits = {kind_of(call): call.timeout_seconds for call in guests.calls}
    assert limits["init"] == 3 * 420
    assert limits["join"] == 3 * 480


def test_only_what_a_run_itself_changed_is_counted(work: Work) -> None:
    (work.logs / "cp1.log").write_text("11:00:00 changed: something long ago\n")
    assert provision(lab_of(), work, Machines("cp1", "cp2", "cp3")) == 0


def test_the_kubeconfig_is_read_from_the_first_control_plane(work: Work) -> None:
    guests = FakeGuests({"cp1: cat /etc/kubernetes/admin.conf": "a kubeconfig"})
    assert Provisioner(lab_of(), work, guests, Recorded(), FakeClock()).kubeconfig() == "a kubeconfig"


def test_a_client_certificate_of_etcd_comes_from_a_control_plane(work: Work) -> None:
    guests = FakeGuests({"cp1: .*healthcheck-client": "Y2E=\nY3J0\na2V5\n"})
    assert Provisioner(lab_of(), work, guests, Recorded(), FakeClock()).etcd_client() == ("ca", "crt", "key")


@pytest.mark.parametrize("printed", ["", "Y2E=\nY3J0\n", "Y2E=\nY3J0\n!\n"])
def test_invalid_certificates_are_a_lab_problem(printed: str, work: Work) -> None:
    guests = FakeGuests({"healthcheck-client": printed})
    with pytest.raises(LabProblem, match="cp1 did not print a client certificate for etcd"):
        Provisioner(lab_of(), work, guests, Recorded(), FakeClock()).etcd_client()


CHANGED = Completed(0, "21:03:05 changed: /etc/haproxy/haproxy.cfg\n", "")
REJECTED = "21:03:05 [ALERT] (7) : config : parsing [/etc/haproxy/haproxy.cfg.halab-new:2] : unknown keyword 'mood'\n"


def balancer_says(
    answer: Completed | CommandFailed, joined: Sequence[str] = ("cp1", "cp2", "cp3")
) -> Machines:
    """Machines whose load balancer answers its set-up like this."""
    machines = Machines(*joined)
    machines.special = {"lb1_set-up": answer}
    return machines


def lab_with(own: str) -> Lab:
    lab = lab_of(load_balancer={"config": "haproxy.cfg"})
    return replace(lab, balancer_file=OwnFile(Path("haproxy.cfg"), own))


def test_a_second_up_says_that_the_load_balancer_has_a_new_configuration(work: Work) -> None:
    progress = Recorded()
    provision(lab_of(), work, balancer_says(CHANGED), progress)
    assert "lb1 runs haproxy with a new configuration" in progress.lines
    provision(lab_with("global\n"), work, balancer_says(CHANGED), progress)
    assert "lb1 runs haproxy with a new configuration: haproxy.cfg" in progress.lines


def test_a_second_up_says_which_machine_has_a_new_configuration_of_keepalived(work: Work) -> None:
    progress, machines = Recorded(), Machines("cp1", "cp2", "cp3")
    changed = Completed(0, "21:03:05 changed: /etc/keepalived/keepalived.conf\n", "")
    machines.special = {"lb2_set-up": changed}
    lab = replace(lab_of(load_balancer={"machines": 2}), keepalived_file=OwnFile(Path("k.conf"), "x\n"))
    provision(lab, work, machines, progress)
    assert [line for line in progress.lines if "new configuration" in line] == [
        "lb2 runs keepalived with a new configuration: k.conf"
    ]


def test_what_keepalived_rejects_is_a_problem_of_the_user_s_file(work: Work) -> None:
    machines = Machines("cp1", "cp2", "cp3")
    said = "21:03:05 (/etc/keepalived/keepalived.conf.halab-new: Line 1) Unknown keyword 'mood'\n"
    machines.special = {"lb2_set-up": Completed(1, said, "")}
    lab = replace(lab_of(load_balancer={"machines": 2}), keepalived_file=OwnFile(Path("k.conf"), "mood\n"))
    with pytest.raises(BadFile) as caught:
        provision(lab, work, machines, Recorded())
    assert str(caught.value.problems[0]) == "k.conf:1: Unknown keyword 'mood': mood"
    assert caught.value.hint == "lb2 keeps its old configuration; change k.conf"


def test_an_up_that_does_not_change_the_load_balancer_does_not_report_it(work: Work) -> None:
    progress = Recorded()
    provision(lab_of(), work, Machines("cp1", "cp2", "cp3"), progress)
    provision(lab_of(), work, balancer_says(CHANGED, joined=()), progress)
    assert not [line for line in progress.lines if "new configuration" in line]


def test_a_configuration_that_haproxy_rejects_is_a_bad_file_with_its_line(work: Work) -> None:
    guests = balancer_says(CommandFailed("ended", code=1, output=REJECTED))
    with pytest.raises(BadFile) as raised:
        provision(lab_with("defaults\n  mood tcp\n"), work, guests)
    assert raised.value.message == "haproxy.cfg:2: unknown keyword 'mood': mood tcp"
    assert raised.value.hint == "lb1 keeps its old configuration; change haproxy.cfg"


def test_lines_of_a_rejected_template_are_in_the_work_folder(work: Work) -> None:
    guests = balancer_says(CommandFailed("ended", code=1, output=REJECTED))
    with pytest.raises(BadFile) as raised:
        provision(lab_with("# {{ lab.name }}\n  mood tcp\n"), work, guests)
    (problem,) = raised.value.problems
    assert (problem.line, problem.file) == (2, f"{work.path}/provision/lb1/haproxy.cfg")
    assert Path(problem.file).read_text().splitlines()[1] == "  mood tcp"


def test_a_load_balancer_that_does_not_start_says_why(work: Work) -> None:
    output = "21:03:05 error: the load balancer does not work with the configuration\n"
    why = CommandFailed("ended", code=1, output=output)
    with pytest.raises(ScriptFailed, match="does not work with the configuration"):
        provision(lab_with("global\n"), work, balancer_says(why))


def test_messages_of_an_earlier_up_are_not_repeated(work: Work) -> None:
    (work.logs / "lb1.log").write_text(REJECTED)
    failed = Completed(1, "21:04:00 error: it does not listen on port 6443\n", "")
    with pytest.raises(ScriptFailed) as raised:
        provision(lab_with("defaults\n  mood tcp\n"), work, balancer_says(failed))
    assert raised.value.output == "21:04:00 error: it does not listen on port 6443"


def test_what_an_earlier_up_printed_is_not_in_the_error_of_a_script_that_is_too_slow(work: Work) -> None:
    (work.logs / "cp2.log").write_text("11:00:00 error: no space left\n")
    with pytest.raises(ScriptFailed) as raised:
        provision(lab_of(), work, Machines(cp2_join=TimedOut("no end within 300 s")))
    assert raised.value.message.startswith("join.sh did not finish on cp2 within ")
    assert raised.value.output == ""


def test_images_of_components_are_for_control_planes_only(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought: dict[str, list[str]] = {}

    def bring(
        archives: Sequence[ImageArchive], _guests: object, machine: str, _patience: float
    ) -> list[ImageArchive]:
        brought[machine] = [archive.name for archive in archives]
        return list(archives)

    monkeypatch.setattr(own_images, "bring", bring)
    lab = lab_of(workers=1, load_balancer={"kind": "kube-vip"})
    provision(lab, work, Machines())
    own, component = (
        ImageArchive(name, f"/{name}", "0", 1, (name,)) for name in ("own.tar", "kube-vip.tar")
    )
    images = NodeImages([own], [ComponentImage(component, frozenset({Role.CONTROL_PLANE}), "kube-vip")])
    provisioner = Provisioner(lab, work, Machines(), Recorded(), FakeClock(), None, images)
    provisioner.run()
    assert brought == {
        **dict.fromkeys(("cp1", "cp2", "cp3"), ["own.tar", "kube-vip.tar"]),
        "w1": ["own.tar"],
    }


def test_a_second_up_of_a_lab_with_kube_vip_has_no_load_balancer_to_speak_of(work: Work) -> None:
    lab, progress = lab_of(load_balancer={"kind": "kube-vip"}), Recorded()
    provision(lab, work, Machines("cp1", "cp2", "cp3"), progress)
    assert not any("new configuration" in line for line in progress.lines)
