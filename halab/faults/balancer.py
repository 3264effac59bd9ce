"""The fault of the load balancer: it runs with settings other than the lab's, or with another configuration."""

from __future__ import annotations

from pathlib import Path

from halab.clock import NotYet, wait_for
from halab.config.fault_facts import EDIT_BALANCER
from halab.config.load_balancer import TIME, LoadBalancer, checking_balancers
from halab.config.load_balancer_choices import Algorithm, BackendCheck, OnMarkedDown
from halab.config.loading import listed
from halab.config.own_file import OwnFile
from halab.config.targets import FaultTarget
from halab.errors import BadFile, BadUsage, CommandFailed, LabProblem, Unable
from halab.faults import scratch
from halab.faults.fault import Fault, Option, settings_or_file
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.topology import balancer, balancer_messages
from halab.topology.balancer import BalancerFile
from halab.topology.lab import Lab

_EFFECT_SECONDS = 60
# A configuration of the user's own may let old workers go on for as long as a watch is open.
_LINGER_SECONDS = 5
_CONFIG = "config"
# In the folder of every open fault, because several faults may change settings at the same time: lines of `name=value`,
# or a configuration; and what was there before the first of them.
_SETTINGS, _FILE, _ORIGINAL = "balancer-settings", "balancer-file", "balancer-original"
# 1 to 100
_COUNT = r"[1-9][0-9]?|100"
# 1 to 65535
_PORT = r"[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"


def _require_settings(site: Site, entry: Entry) -> None:
    lab, options = site.lab, entry.options
    if not lab.load_balancer.kind.has_settings:
        raise Unable(f"a lab with {lab.load_balancer.kind} has no load balancer whose settings could change")
    if _CONFIG in options:
        balancer.from_file(lab, _own(options[_CONFIG]))
        return
    if lab.balancer_file:
        raise Unable(
            f"the load balancer runs with {lab.balancer_file.path.name}, in which halab cannot change single settings: "
            f"give {EDIT_BALANCER} another file with `{_CONFIG}`"
        )
    kind, check = lab.load_balancer.kind, options.get("check", BackendCheck.NONE)
    if check != BackendCheck.NONE and not kind.checks_backends:
        raise BadUsage(
            f"{kind} has no health checks, it only counts failed connections: leave check out, or write none; "
            f"{checking_balancers()} has them"
        )
    try:
        lab.load_balancer.changed(options)
    except ValueError as error:
        raise BadUsage(f"{EDIT_BALANCER} is not possible here: {error}") from error


def _own(text: str) -> OwnFile:
    return OwnFile(Path(f"{EDIT_BALANCER}.{_CONFIG}"), text)


def _edit(site: Site, entry: Entry) -> str:
    lab, machine, folder = site.lab, entry.machine, scratch.folder(entry)
    file = balancer.from_file(lab, _own(entry.options[_CONFIG])) if _CONFIG in entry.options else None
    if file is None and any(line.startswith("file=") for line in _open_edits(site, machine)):
        raise LabProblem("another fault has replaced the configuration of the load balancer: heal it first")
    settings = "".join(f"{name}={value}\n" for name, value in sorted(entry.options.items()))
    site.guests.run(
        machine,
        f"{scratch.make(entry)} && "
        f"first=$(ls {scratch.KEPT}/*/{_ORIGINAL} 2>/dev/null | head -n 1); "
        f'cp -p "${{first:-{balancer.path_of(lab)}}}" {folder}/part && mv {folder}/part {folder}/{_ORIGINAL} && '
        f"cat >{folder}/{_FILE if file else _SETTINGS}",
        input=file.text if file else settings,
    )
    if file:
        _push_own(site, machine, file)
        return f"{lab.load_balancer.kind.service} runs with the configuration of the fault"
    _apply(site, machine)
    return f"{lab.load_balancer.kind.service} runs with {', '.join(settings.splitlines())}"


def _restore(site: Site, entry: Entry) -> None:
    folder = scratch.folder(entry)
    # remove the folder last: while it exists, the balancer may still run with its settings
    command = (
        f"if [ -d {folder} ]; then rm -f {folder}/{_SETTINGS} {folder}/{_FILE}; echo changed; "
        f"if [ -e {folder}/{_ORIGINAL} ]; then echo {folder}/{_ORIGINAL}; fi; fi"
    )
    changed, *original = site.guests.run(entry.machine, command).output.split() or [""]
    if changed:
        _apply(site, entry.machine, *original)
        site.guests.run(entry.machine, scratch.forget(entry))


def _open_edits(site: Site, machine: str) -> list[str]:
    """The settings of all open faults, the newest last; `file=PATH` for a whole configuration."""
    both = f"{scratch.KEPT}/*/{_SETTINGS} {scratch.KEPT}/*/{_FILE}"
    command = (
        f"for path in $(ls -tr {both} 2>/dev/null); do "
        f"""case $path in *{_FILE}) echo "file=$path" ;; *) cat "$path" ;; esac; done"""
    )
    return site.guests.run(machine, command).output.splitlines()


def _apply(site: Site, machine: str, original: str | None = None) -> None:
    """Apply all open faults and wait until the balancer runs with them; without any, the original on the machine."""
    edits, lab = _open_edits(site, machine), site.lab
    files = [line.partition("=")[2] for line in edits if line.startswith("file=")]
    if files:
        _push(site, machine, balancer.configuration(lab), f"cat {files[-1]}")
    elif edits:
        push(site, machine, balancer.from_settings(lab, _settings(lab, edits)))
    elif original:
        _push(site, machine, balancer.configuration(lab), f"cat {original}")
    else:
        push(site, machine, balancer.configuration(lab))


def _settings(lab: Lab, written: list[str]) -> LoadBalancer:
    """The lab's settings with these changes, one after another: those of two faults need not fit together."""
    settings = lab.load_balancer
    for line in written:
        name, _, value = line.partition("=")
        settings = settings.changed({name: value})
    return settings


def _push_own(site: Site, machine: str, file: BalancerFile) -> None:
    try:
        push(site, machine, file)
    except CommandFailed as error:
        assert file.own is not None
        problems = balancer_messages.problems(error.output, file, str(file.own.path))
        if not problems:
            raise
        hint = f"the line numbers refer to the rendered text; {machine} still runs with the configuration before"
        raise BadFile(problems, hint=hint) from error


def push(site: Site, machine: str, configuration: BalancerFile) -> None:
    """Install a configuration that the balancer accepts, and wait until all its workers have started with it."""
    _push(site, machine, configuration, "cat", configuration.text)


def _push(
    site: Site, machine: str, configuration: BalancerFile, source: str, text: str | None = None
) -> None:
    """Install what the command `source` prints: the text, or a file on the machine."""
    path, new, service = configuration.path, configuration.new, configuration.service
    workers = f"pgrep -P $(systemctl show -p MainPID --value {service})"
    before = site.guests.run(
        machine,
        f"{source} >{new} && {{ {configuration.test_new} >&2 || {{ rm -f {new}; false; }}; }} && mv -f {new} {path} && "
        # a balancer that is stopped reads it when it starts
        f"if systemctl is-active -q {service}; then {workers}; systemctl reload {service}; fi",
        input=text,
    ).output.split()
    since = site.clock.now()

    def reloaded() -> None:
        now = site.guests.run(machine, f"{workers} || true").output.split()
        left = sorted(set(now) & set(before))
        if left and site.clock.now() - since > _LINGER_SECONDS:
            site.guests.run(machine, f"kill -TERM {' '.join(left)}", check=False)
        if left or not now:
            raise NotYet(f"the old workers still run: {', '.join(left)}" if left else "no worker runs")

    if before:
        deadline = site.deadline(_EFFECT_SECONDS)
        wait_for(f"{service} on {machine} to have reloaded", reloaded, deadline, every_seconds=0.2)


_CHECKING = checking_balancers()
_TIME = f"({TIME})"
_OPTIONS = {
    _CONFIG: Option("a whole configuration, or a file with it", default="", is_text=True),
    "check": Option(
        f"{listed(BackendCheck)} (how {_CHECKING} checks the API servers)",
        "|".join(BackendCheck),
        "tcp",
        "",
    ),
    "interval": Option("the time between two checks (nginx: fail_timeout)", _TIME, "2s", ""),
    "timeout": Option(f"how long {_CHECKING} waits for the answer to a check", _TIME, "500ms", ""),
    "fall": Option("the failed checks (nginx: max_fails) until an API server is out", _COUNT, "3", ""),
    "rise": Option(f"the good checks until {_CHECKING} uses an API server again", _COUNT, "2", ""),
    "slow_start": Option("how long an API server that is up again gets fewer clients", _TIME, "30s", ""),
    "connect_timeout": Option("the time for a connection to an API server", _TIME, "5s", ""),
    "idle_timeout": Option("the time that a connection may be idle", _TIME, "5s", ""),
    "redispatch": Option("true or false (try another API server if one refuses)", "true|false", "false", ""),
    "on_marked_down": Option(
        f"{listed(OnMarkedDown)} (what {_CHECKING} does with the connections to an API server that goes down)",
        "|".join(OnMarkedDown),
        "none",
        "",
    ),
    "algorithm": Option(
        f"{listed(Algorithm)} (how an API server is chosen)", "|".join(Algorithm), "leastconn", ""
    ),
    "connections": Option(
        "the maximum number of client connections at a time", r"[1-9][0-9]{0,3}", "20", ""
    ),
    "port": Option("the port where clients connect", _PORT, "7443", ""),
}

FAULTS = (
    Fault(
        EDIT_BALANCER,
        "Run the load balancer with other settings or with another configuration, until it is healed.",
        _edit,
        _restore,
        _OPTIONS,
        target=FaultTarget.BALANCER,
        check=_require_settings,
        rule=settings_or_file(EDIT_BALANCER, _OPTIONS, _CONFIG),
    ),
)
