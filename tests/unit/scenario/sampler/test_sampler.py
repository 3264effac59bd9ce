"""The sampler: its configuration, its process, and how the process ends."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.fakes import lab_of

from halab.clock import Deadline, NotYet, RealClock, wait_for
from halab.cluster.api import Credentials
from halab.config.lab import ProviderKind
from halab.config.probe import ProbeName, Question, Way
from halab.config.probe_options import ProbeOptions
from halab.errors import HalabError, HostProblem, LabProblem, TunnelLost
from halab.scenario.record import operations, outage, timeline
from halab.scenario.record.events import Sample
from halab.scenario.record.lanes import Lane
from halab.scenario.sampler import launcher, probes
from halab.scenario.sampler.clients import Identity, request
from halab.scenario.sampler.launcher import NOT_WRITTEN, SamplerConfig
from halab.scenario.sampler.probes import Objects, Probe
from halab.scenario.sampler.process import at_fixed_rate
from halab.scenario.sampler.sink import Sink
from halab.scenario.verdict import facts

# port 1 of the loopback: nobody listens there, and the kernel refuses at once
REFUSED = Probe("write-via-lb", None, Question.WRITE, Way.NEW, "127.0.0.1", 1, 50.0)


def test_every_run_has_three_probes_through_the_balancer_and_two_of_each_control_plane() -> None:
    asked = probes.probes(lab_of())
    assert [each.name for each in asked if each.machine is None] == [
        "ready-via-lb",
        "read-via-lb",
        "write-via-lb",
    ]
    assert [each.name for each in asked if each.machine == "cp2"] == ["ready-direct", "write-direct"]
    assert len(asked) == 3 + 2 * 3


def test_other_probes_run_only_if_they_are_named() -> None:
    asked = probes.probes(lab_of(control_planes=1, workers=1), tuple(ProbeName))
    assert {each.name for each in asked} == set(ProbeName)
    ways = {each.name: each.way for each in asked}
    assert (ways["read-kept-via-lb"], ways["quiet-watch-via-lb"], ways["etcd-direct"]) == (
        Way.KEPT, Way.WATCH, Way.NEW,
    )  # fmt: skip
    of_etcd = {each.name for each in asked if each.port == 2379}
    assert of_etcd == {name for name in ProbeName if name.is_of_etcd}
    assert {"etcd-direct", "serializable-read"} <= of_etcd
    rates = {each.name: each.rate_hertz for each in asked}
    assert (rates["list-via-lb"], rates["pod-starts"], rates["watch-resuming"]) == (2, 1, 10)


def test_a_serializable_read_needs_no_quorum_and_the_certificate_of_an_etcd_client() -> None:
    probe = replace(REFUSED, question=Question.SERIALIZABLE)
    method, path, body = request(probe, "space", None)
    assert (method, path) == ("POST", "/v3/kv/range")
    asked = json.loads(body)
    assert (b64decode(asked["key"]), asked["serializable"]) == (b"/registry/namespaces/kube-system", True)


def test_every_probe_is_asked_of_the_balancer_or_of_each_control_plane() -> None:
    asked = probes.probes(lab_of(), tuple(ProbeName))
    machines = {name: {each.machine for each in asked if each.name == name} for name in ProbeName}
    everyone = {"cp1", "cp2", "cp3"}
    assert machines[ProbeName.SERVICE] == machines[ProbeName.SERIALIZABLE_READ] == everyone
    assert machines[ProbeName.POD_STARTS] == machines[ProbeName.WATCH_RESUMING] == {None}


def test_a_probe_may_have_a_time_limit_of_its_own() -> None:
    asked = probes.probes(
        lab_of(), ["pod-starts"], ProbeOptions.model_validate({"pod-starts": {"limit": "15s"}})
    )
    assert {each.name: each.limit_seconds for each in asked}["pod-starts"] == 15
    assert {each.limit_seconds for each in asked if each.name != "pod-starts"} == {None}


def test_a_scenario_chooses_the_path_of_a_get() -> None:
    asked = probes.probes(
        lab_of(),
        ["get-via-lb", "get-direct"],
        ProbeOptions.model_validate({"get-via-lb": {"path": "/apis/x/v1/things"}}),
    )
    paths = {each.name: each.path for each in asked}
    assert (paths["get-via-lb"], paths["get-direct"], paths["read-via-lb"]) == (
        "/apis/x/v1/things",
        "/apis",
        "",
    )
    (get,) = (each for each in asked if each.name == "get-via-lb")
    assert request(get, "space", None) == ("GET", "/apis/x/v1/things", b"")


def test_a_token_takes_the_place_of_the_certificate() -> None:
    assert certificate_of(Question.TOKEN) == "none"
    assert request(replace(REFUSED, question=Question.TOKEN), "space", None) == ("GET", "/apis", b"")


def test_every_question_is_asked_with_the_right_certificate() -> None:
    asked_with = {question: certificate_of(question) for question in Question}
    assert {asked_with[question] for question in (Question.READY, Question.TOKEN)} == {"none"}
    assert {asked_with[question] for question in (Question.READ, Question.WRITE)} == {"administrator"}
    of_etcd = {question for question in Question if asked_with[question] == "etcd's client"}
    assert of_etcd == {name.question for name in ProbeName if name.is_of_etcd}


def certificate_of(question: Question) -> str:
    administrator, anonymous, etcd = (ssl.create_default_context() for _ in range(3))
    server = Identity(administrator, anonymous, etcd).server(replace(REFUSED, question=question), 2.0)
    names = {id(administrator): "administrator", id(anonymous): "none", id(etcd): "etcd's client"}
    return names[id(server.context)]


def test_a_write_is_an_object_with_its_number() -> None:
    method, path, body = request(REFUSED, "space", 7)
    assert (method, path) == ("POST", "/api/v1/namespaces/space/configmaps")
    assert json.loads(body)["metadata"] == {"name": "write-7"}


def test_a_read_is_of_one_object() -> None:
    probe = replace(REFUSED, question=Question.READ)
    assert request(probe, "space", None) == ("GET", "/api/v1/namespaces/space", b"")


def test_every_question_that_one_request_asks_has_a_request_of_its_own() -> None:
    own = (Question.POD, Question.SERVICE, Question.FROM_NODE)
    asked = {probe.question for probe in ProbeName if "watch" not in probe.way and probe.question not in own}
    requests = {question: request(replace(REFUSED, question=question), "space", 7) for question in asked}
    assert len(set(requests.values())) == len(asked)


@pytest.mark.parametrize(
    "question",
    [Question.NEXT_EVENT, Question.STILL_OPEN, Question.POD, Question.SERVICE, Question.FROM_NODE],
)
def test_a_question_with_a_client_of_its_own_is_not_one_request(question: Question) -> None:
    with pytest.raises(ValueError, match="not one request, but a client of its own"):
        request(replace(REFUSED, question=question), "space", None)


@pytest.mark.parametrize(("kind", "has_statistics"), [("haproxy", True), ("nginx", False), ("dns", False)])
def test_a_configuration_survives_the_pipe(kind: str, has_statistics: bool, tmp_path: Path) -> None:
    config = launcher.sampler_config(
        lab_of(load_balancer={"kind": kind}), Credentials.in_folder(tmp_path), ["watch-via-lb", "pod-starts"],
        origin=1.5, samples=tmp_path / "samples", states=tmp_path / "states", namespace="space",
        ssh_config=tmp_path / "ssh_config", named_states=["kubelet.service"],
        options=ProbeOptions.model_validate({"pod-starts": {"limit": "3s"}}),
        objects=Objects("space", 3, "10.96.0.1", "pause"),
    )  # fmt: skip
    assert SamplerConfig.from_json(config.to_json()) == config
    assert bool(config.statistics) == has_statistics


def test_clients_of_a_pair_ask_the_virtual_address(tmp_path: Path) -> None:
    config = launcher.sampler_config(
        lab_of(load_balancer={"machines": 2}), Credentials.in_folder(tmp_path),
        origin=1.5, samples=tmp_path / "samples", states=tmp_path / "states", namespace="space",
        ssh_config=tmp_path / "ssh_config",
    )  # fmt: skip
    assert {probe.host for probe in config.probes if probe.machine is None} == {"10.213.7.100"}
    assert config.statistics == "http://10.213.7.100:8404/;csv"
    assert (config.virtual_address, config.address_machines) == ("10.213.7.100", ["lb1", "lb2"])


@pytest.mark.parametrize("accel", ["kvm", "tcg"])
def test_an_emulated_lab_is_asked_less_often_and_given_more_time(accel: str, tmp_path: Path) -> None:
    """Given up after a second, no handshake ended; begun again at once, it took what the API server starts with."""
    config = launcher.sampler_config(
        lab_of(provider=ProviderKind.LIBVIRT, accel=accel), Credentials.in_folder(tmp_path),
        origin=1.5, samples=tmp_path / "samples", states=tmp_path / "states", namespace="space",
        ssh_config=tmp_path / "ssh_config",
    )  # fmt: skip
    emulated = accel == "tcg"
    limits = config.time_limit_seconds, config.state_limit_seconds
    assert limits == ((10, 2) if emulated else (2, 1))
    rates = {config.state_hertz, *(probe.rate_hertz for probe in config.probes)}
    assert rates == ({1} if emulated else {5, 10})
    # further apart, samples and readings would tell nothing
    assert 2 / min(rates) <= outage.GAP_SECONDS
    assert config.state_limit_seconds + 1 / config.state_hertz < facts.GAP_SECONDS


def test_a_line_is_on_disk_when_write_returns(tmp_path: Path) -> None:
    Sink(tmp_path / "lines").write("one", "two")
    assert (tmp_path / "lines").read_text() == "one\ntwo\n"


def test_a_full_disk_is_a_problem_of_the_host() -> None:
    with pytest.raises(HostProblem, match="cannot write /dev/full: No space left on device"):
        Sink(Path("/dev/full")).write("one")


def test_slow_answers_do_not_change_the_rate() -> None:
    async def acts() -> list[float]:
        times: list[float] = []
        pace = asyncio.create_task(at_fixed_rate(100, 0, lambda: times.append(time.monotonic())))
        while len(times) < 5:
            await asyncio.sleep(0.001)
        pace.cancel()
        return times

    times = asyncio.run(acts())
    assert all(second > first for first, second in itertools.pairwise(times))


def config_of(keys: Path, folder: Path, **changed: object) -> SamplerConfig:
    made = SamplerConfig(
        probes=[REFUSED], origin=time.monotonic(), samples=str(folder / "samples"), states=str(folder / "states"),
        namespace="space", credentials=str(keys), control_planes={}, nodes={}, statistics=None,
    )  # fmt: skip
    return replace(made, **changed)  # type: ignore[arg-type]


def until(happened: bool) -> None:
    if not happened:
        raise NotYet("not yet")


def test_a_sampler_runs_during_the_block(keys: Path, tmp_path: Path) -> None:
    config = config_of(keys, tmp_path)
    samples = Path(config.samples)
    with launcher.sampling(config, tmp_path / "log") as still_sampled:
        deadline = Deadline.after(RealClock(), 30)
        wait_for(
            "samples", lambda: until(samples.exists() and len(timeline.read_samples(samples)) > 3), deadline
        )
        still_sampled()
    taken = timeline.read_samples(samples)
    assert {(each.ok, each.detail) for each in taken} == {(False, "connection refused")}
    assert [each.number for each in taken] == list(range(1, len(taken) + 1))
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize("reads_states", [True, False])
def test_a_sampler_reads_states_unless_it_only_asks_probes(
    reads_states: bool, keys: Path, tmp_path: Path
) -> None:
    config = config_of(keys, tmp_path, control_planes={"cp1": "127.0.0.1"}, reads_states=reads_states)
    samples, states = Path(config.samples), Path(config.states)
    with launcher.sampling(config, tmp_path / "log"):
        deadline = Deadline.after(RealClock(), 30)
        wait_for(
            "samples and states",
            lambda: until(
                samples.exists()
                and len(timeline.read_samples(samples)) > 20
                and (states.stat().st_size > 0 or not reads_states)
            ),
            deadline,
        )
    assert (states.stat().st_size > 0) is reads_states


def test_a_sampler_records_the_reads_and_writes_of_its_clients(keys: Path, tmp_path: Path) -> None:
    path = tmp_path / "operations"
    # no member listens there
    config = config_of(
        keys, tmp_path, members={"cp1": "127.0.0.1"}, reads_states=False, operations=str(path)
    )
    with launcher.sampling(config, tmp_path / "log"):
        deadline = Deadline.after(RealClock(), 30)
        wait_for("operations", lambda: until(path.exists() and len(operations.read(path)) > 8), deadline)
    lines = operations.read(path)
    assert {line.machine for line in lines if isinstance(line, operations.Started)} == {"cp1"}
    assert not any(line.ok for line in lines if isinstance(line, operations.Ended))
    assert operations.operations(lines) == []


def test_a_sampler_without_its_tunnel_ends(keys: Path, tmp_path: Path) -> None:
    config = config_of(keys, tmp_path, tunnel=str(tmp_path / "gone"))
    with pytest.raises(TunnelLost), launcher.sampling(config, tmp_path / "log") as still_sampled:
        until_it_ends(still_sampled)
    assert not Path(config.samples).exists() or Path(config.samples).read_text() == ""
    assert f"the tunnel at {tmp_path}/gone is closed" in (tmp_path / "log").read_text()


def until_it_ends(still_sampled: Callable[[], None]) -> None:
    deadline = Deadline.after(RealClock(), 30)
    while not deadline.expired:
        still_sampled()
        time.sleep(0.01)


def test_a_sampler_that_cannot_write_says_so(keys: Path, tmp_path: Path) -> None:
    config = config_of(keys, tmp_path, samples="/dev/full")
    with pytest.raises(HostProblem) as caught, launcher.sampling(config, tmp_path / "log") as still_sampled:
        until_it_ends(still_sampled)
    assert caught.value.message == "the sampler could not write into /dev"
    assert caught.value.hint == f"check whether the disk is full, and see {tmp_path / 'log'}"
    assert "cannot write /dev/full: No space left on device" in (tmp_path / "log").read_text()


def test_a_killed_sampler_is_noticed(keys: Path, tmp_path: Path) -> None:
    config = config_of(keys, tmp_path)
    with pytest.raises(HalabError) as caught, launcher.sampling(config, tmp_path / "log") as still_sampled:
        (child,) = [each for each in children() if "halab.scenario.sampler.process" in each[1]]
        os.kill(child[0], signal.SIGKILL)
        until_it_ends(still_sampled)
    assert caught.value.message == "the sampler exited with code -9"


class Slow(BaseHTTPRequestHandler):
    """Healthy, and so slow that there is always a question on its way."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(0.3)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def healthy(keys: Path) -> Iterator[Probe]:
    """The question whether a server on the loopback is ready; it always is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    credentials = Credentials.in_folder(keys)
    context.load_cert_chain(credentials.certificate, credentials.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Probe("ready-via-lb", None, Question.READY, Way.NEW, "127.0.0.1", server.server_port, 10.0)
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_sampler_that_stood_still_is_no_evidence_against_the_lab(
    keys: Path, healthy: Probe, tmp_path: Path
) -> None:
    """Stopped for longer than its limit, it gave up questions whose answers it had not read."""
    # on a busy host, the server of this test may take seconds to answer
    limit, stopped = 5.0, 5.5
    config = config_of(keys, tmp_path, probes=[healthy], time_limit_seconds=limit)
    path = Path(config.samples)

    def taken() -> list[Sample]:
        return timeline.read_samples(path) if path.exists() else []

    def wait_until(happened: Callable[[], bool]) -> None:
        wait_for("it", lambda: until(happened()), Deadline.after(RealClock(), 30), every_seconds=0.05)

    with launcher.sampling(config, tmp_path / "log"):
        (child,) = [each[0] for each in children() if "halab.scenario.sampler.process" in each[1]]
        wait_until(lambda: len(taken()) > 5)
        os.kill(child, signal.SIGSTOP)
        wait_until(lambda: process_state(child) == "T")
        begun, before = time.monotonic(), len(taken())
        wait_until(lambda: time.monotonic() > begun + stopped)
        os.kill(child, signal.SIGCONT)
        wait_until(lambda: len(taken()) > before + 8)
    held = outage.Samples(taken(), limit_seconds=limit)
    # without their `stalled`, these would be failures of the server
    assert any(not each.ok and each.detail == "timed out" for each in held.void)
    assert max(each.stalled for each in held.void) > stopped - limit
    assert {(each.ok, each.detail) for each in held.of(Lane("ready-via-lb"))} == {(True, "200")}
    starts = [each.t for each in held.of(Lane("ready-via-lb"))]
    assert max(second - first for first, second in itertools.pairwise(starts)) > stopped
    assert "the sampler stood still for " in (tmp_path / "log").read_text()


def process_state(pid: int) -> str:
    """`T` where it is stopped."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def children() -> Iterator[tuple[int, str]]:
    """Processes that this one has started, and their command lines."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == str(os.getpid()):
                yield int(folder.name), (folder / "cmdline").read_text()


def test_a_sampler_without_credentials_is_not_started(keys: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(LabProblem, match="no usable credentials"),
        launcher.sampling(config_of(keys, tmp_path, credentials=str(tmp_path)), tmp_path / "log"),
    ):
        raise AssertionError("it was started")


def test_the_process_ends_with_its_input(keys: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "halab.scenario.sampler.process"]
    config = config_of(keys, tmp_path).to_json() + "\n"
    assert subprocess.run(argv, input=config, text=True, timeout=60, check=False).returncode == 0
    full = config_of(keys, tmp_path, samples="/dev/full").to_json() + "\n"
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdin
    child.stdin.write(full)
    child.stdin.flush()
    assert child.wait(60) == NOT_WRITTEN
    child.stdin.close()


def test_with_load_balancers_on_nodes_clients_have_a_name_and_nodes_ask_their_own() -> None:
    lab = lab_of(load_balancer={"kind": "local"}, workers=1)
    asked = probes.probes(lab, [ProbeName.READY_FROM_NODE])
    outside = {(each.host, each.port) for each in asked if each.machine is None}
    assert outside == {("api.ha.internal", 6443)}
    nodes = {
        each.machine: (each.host, each.port) for each in asked if each.name == ProbeName.READY_FROM_NODE
    }
    assert nodes == {"w1": ("api.ha.internal", 7445)}


def test_elsewhere_a_node_asks_the_load_balancer_of_all() -> None:
    asked = probes.probes(lab_of(workers=1), [ProbeName.READY_FROM_NODE])
    found = {(each.host, each.port) for each in asked if each.name == ProbeName.READY_FROM_NODE}
    assert found == {("10.213.7.10", 6443)}
