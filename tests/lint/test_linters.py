"""Linters as tests, for our code and for the files that it renders.

A tool that is missing here is a skip with a reason; with CI=true it is a failure.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import halab
from halab.templates import ruby, ssh

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
LABS = sorted(path.parent for path in GOLDEN.glob("*/Vagrantfile"))
NETWORK = "/etc/cni/net.d/10-halab.conflist"
MODULES = sorted((ROOT / "halab").rglob("*.py"))
MAXIMUM_LINES = 350

# Where each library that reaches outside is imported: a module, or a package with all of its modules.
HOMES = {
    "subprocess": {"halab.process"},
    "vagrant": {"halab.machines.vagrant"},
    "docker": {"halab.machines.docker"},
    "libvirt": {"halab.machines.libvirt"},
    "testinfra": {"halab.scenario.run.check_fixtures"},
    "jinja2": {"halab.templates"},
    "dns": {"halab.cluster.names"},
    "starlette": {"halab.serve"},
    "uvicorn": {"halab.serve"},
    "sqlite3": {"halab.report.history_file"},
    "distributed": {"halab.matrix.hosts.dask_cluster"},
}
SCRIPTS = sorted(
    path
    for path in [
        *(
            each
            for folder in ("scripts", ".ci", "tests", "docs/examples")
            for each in (ROOT / folder).iterdir()
        ),
        *(ROOT / "templates").rglob("*"),
    ]
    if path.is_file()
    and path.suffix != ".j2"
    and (path.suffix == ".sh" or re.match(rb"#!.*\b(ba)?sh\b", path.read_bytes()[:60]))
)


def tool(name: str) -> str:
    """The path of a tool; this Python's environment comes first."""
    path = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    )
    found = shutil.which(name, path=path)
    return found if found else missing(f"not installed: {name}")


def missing(what: str) -> str:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def require_clean(argv: list[str | Path], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=300,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.fail(
            f"{Path(argv[0]).name} ended with {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False
        )


def test_ruff_finds_nothing() -> None:
    require_clean([tool("ruff"), "check", "--quiet", "."])


def test_code_is_formatted() -> None:
    require_clean([tool("ruff"), "format", "--check", "--quiet", "."])


def test_types_hold() -> None:
    require_clean([tool("mypy")])


def test_imports_point_down() -> None:
    require_clean([tool("lint-imports"), "--no-cache"])


def test_yaml_files_are_tidy() -> None:
    # in a scenario, `on` is a name and not the `true` of YAML 1.1; our loader knows that
    rules = "{line-length: {max: 120}, document-start: disable, truthy: {check-keys: false}}"
    require_clean(
        [tool("yamllint"), "--strict", "-d", f"{{extends: default, rules: {rules}}}", "boxes", "scenarios"]
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_shell_script_is_clean(script: Path) -> None:
    require_clean([tool("shellcheck"), "-x", "--source-path=SCRIPTDIR", script])


# Python in a shell script that needs nothing but halab. No other linter reads it.
SNIPPETS = [
    (path.name, snippet)
    for path in SCRIPTS
    for snippet in re.findall(r"python3 -c '(from halab[^']+)'", path.read_text())
]


@pytest.mark.parametrize(("script", "snippet"), SNIPPETS)
def test_python_in_shell_scripts_finds_what_it_imports(script: str, snippet: str) -> None:
    require_clean([sys.executable, "-c", snippet])


@pytest.mark.parametrize("lab", LABS, ids=lambda path: path.name)
def test_rendered_shell_scripts_are_clean(lab: Path) -> None:
    require_clean([tool("shellcheck"), *sorted(lab.rglob("*.sh"))])


# Commands that may end before they have read all of a pipe.
HASTY_READER = re.compile(r"[|] *(grep (-\S+ )*-\w*q|head\b)")


@pytest.mark.parametrize("lab", LABS, ids=lambda path: path.name)
def test_no_rendered_shell_script_pipes_into_what_reads_not_to_the_end(lab: Path) -> None:
    # With pipefail, the writer of the pipe may fail then: `ip address show` failed 25 to 126 times of 500.
    found = [
        f"{script.relative_to(GOLDEN)}:{number}: {line.strip()}"
        for script in sorted(lab.rglob("*.sh"))
        for number, line in enumerate(script.read_text().splitlines(), start=1)
        if HASTY_READER.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("lab", LABS, ids=lambda path: path.name)
def test_rendered_vagrantfile_is_ruby(lab: Path) -> None:
    require_clean([tool("ruby"), "-wc", lab / "Vagrantfile"])


@pytest.mark.parametrize("lab", LABS, ids=lambda path: path.name)
def test_vagrant_accepts_rendered_vagrantfile(lab: Path, tmp_path: Path) -> None:
    vagrant = tool("vagrant")
    # Vagrant requires the key to exist. Its path has all that a user's folder may have in its name.
    key = tmp_path / 'it\'s a \\ "lab" #{1}' / "id_ed25519"
    key.parent.mkdir()
    key.touch()
    text, replaced = re.subn(
        r"(private_key_path = ).*", lambda match: match[1] + ruby(key), (lab / "Vagrantfile").read_text()
    )
    # Vagrant makes a key for every virtual machine
    assert replaced == text.count("m.vm.provider 'docker'")
    (tmp_path / "Vagrantfile").write_text(text)
    environment = {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_CHECKPOINT_DISABLE": "1"}
    require_clean([vagrant, "validate", "--ignore-provider"], cwd=tmp_path, env=environment)


def heredoc(script: str, path: str) -> str:
    """The text that a rendered script writes to a path."""
    found = re.search(rf"^put \d+ {re.escape(path)} <<'EOF'\n(.*?)^EOF$", script, re.DOTALL | re.MULTILINE)
    assert found, f"the script does not write {path}"
    return found[1]


@pytest.mark.parametrize("lab", LABS, ids=lambda path: path.name)
def test_rendered_kubeadm_configuration_is_yaml(lab: Path) -> None:
    for script in [*lab.rglob("init.sh"), *lab.rglob("join.sh")]:
        text = script.read_text()
        config = re.search(r"<<'?EOF'?\n(apiVersion: .*?)^EOF$", text, re.DOTALL | re.MULTILINE)
        assert config, script
        for document in yaml.safe_load_all(config[1]):
            assert {"apiVersion", "kind"} <= document.keys()


def test_rendered_network_configuration_is_json() -> None:
    with_network = [
        script for lab in LABS for script in lab.rglob("node.sh") if NETWORK in script.read_text()
    ]
    # the lab `applied` says `cni: none`
    assert {lab for lab in LABS if not any(lab in script.parents for script in with_network)} == {
        lab for lab in LABS if lab.name == "applied"
    }
    for script in with_network:
        assert json.loads(heredoc(script.read_text(), NETWORK))["plugins"]


IFF_MULTICAST = 0x1000
# Configuration of a load balancer → what only a machine of the lab has in it, what the test has instead, and the test.
BALANCER_TESTS = {
    "/etc/haproxy/haproxy.cfg": (r"^  (user|group) .*\n", "", ["haproxy", "-c", "-q", "-f"]),
    "/etc/dnsmasq.conf": (r"^resolv-file=.*\n", "", ["dnsmasq", "--test", "-C"]),
    "/etc/nginx/nginx.conf": (r"(access_log|pid) /\S*/", r"\1 FOLDER/", ["nginx", "-t", "-q", "-c"]),
}


@pytest.mark.parametrize(
    "lab", [lab for lab in LABS if (lab / "provision" / "lb1").exists()], ids=lambda path: path.name
)
def test_load_balancer_accepts_rendered_configuration(lab: Path, tmp_path: Path) -> None:
    script = (lab / "provision" / "lb1" / "load-balancer.sh").read_text()
    paths = [path for path in BALANCER_TESTS if f" {path} <<" in script or f"new={path}." in script]
    assert paths, "add the load balancer to BALANCER_TESTS"
    absent, instead, (command, *options) = BALANCER_TESTS[paths[0]]
    config = tmp_path / "balancer.cfg"
    own = lab / "provision" / "lb1" / Path(paths[0]).name
    rendered = own.read_text() if own.exists() else heredoc(script, paths[0])
    text = re.sub(absent, instead, rendered, flags=re.MULTILINE)
    config.write_text(text.replace("FOLDER", str(tmp_path)))
    require_clean([optional(command), *options, config])


@pytest.mark.parametrize(
    "script",
    [
        path
        for lab in LABS
        for path in sorted(lab.glob("provision/lb*/load-balancer.sh"))
        if "keepalived -t" in path.read_text()
    ],
    ids=lambda path: f"{path.parts[-4]}-{path.parts[-2]}",
)
def test_keepalived_accepts_rendered_configuration(script: Path, tmp_path: Path) -> None:
    nics = [
        nic.name
        for nic in Path("/sys/class/net").iterdir()
        if int((nic / "flags").read_text(), 16) & IFF_MULTICAST and nic.name != "lo"
    ]
    if not nics:
        pytest.skip("keepalived refuses a NIC that does not exist, and this host has none for VRRP")
    found = re.search(r"/@nic@/.*?<<'EOF'\n(.*?)^EOF$", script.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    config = tmp_path / "keepalived.conf"
    # the checks use programs of the box
    config.write_text(re.sub(r'script "[^"]*"', 'script "/bin/true"', found[1]).replace("@nic@", nics[0]))
    # 6: scripts run as root without enable_script_security, as in many guides
    require_clean(["bash", "-c", '"$0" -t -f "$1" || [ $? = 6 ]', optional("keepalived"), config])


def optional(name: str) -> str:
    """The path of a tool that the box has and the host may lack: the end-to-end tests use it in the lab."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or pytest.skip(
        f"not installed: {name}"
    )


WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=20)


@given(WORDS)
@settings(max_examples=5)
def test_ruby_reads_what_was_quoted(words: list[str]) -> None:
    literals = ",".join(ruby(word) for word in [*words, "it's", "#{1}", "\\", "\\'", "'; exit; '", "a\nb"])
    program = f"# encoding: utf-8\nrequire 'json'\nSTDOUT.write JSON.generate([{literals}])\n"
    done = subprocess.run(
        [tool("ruby"), "-"], input=program.encode(), capture_output=True, check=True, timeout=60
    )
    expected = [*words, "it's", "#{1}", "\\", "\\'", "'; exit; '", "a\nb"]
    # Ruby reads every line end in its source as a line feed
    assert json.loads(done.stdout) == [word.replace("\r\n", "\n") for word in expected]


@pytest.mark.parametrize("folder", ["it's a lab", 'a "lab"', "100%done", "back\\slash", "$(id) ~"])
def test_openssh_reads_a_path_as_it_is(folder: str, tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(f"Host *\n  UserKnownHostsFile {ssh(f'/labs/{folder}/known_hosts')}\n")
    done = subprocess.run(
        [tool("ssh"), "-G", "-F", config, "cp1"], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"userknownhostsfile /labs/{folder}/known_hosts" in done.stdout.splitlines()


def imports(module: Path) -> Iterator[str]:
    """The top-level packages that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def home_of(module: str, homes: set[str]) -> str:
    """The home that a module is, or is in; the module itself where it is in none."""
    return next((home for home in homes if f"{module}.".startswith(f"{home}.")), module)


def test_every_library_that_reaches_outside_is_imported_at_its_home() -> None:
    importers = defaultdict(set)
    for module in MODULES:
        name = ".".join(module.relative_to(ROOT).with_suffix("").parts)
        for library in imports(module):
            importers[library].add(name)
    for library, homes in HOMES.items():
        assert {home_of(name, homes) for name in importers[library]} == homes
    assert {name for name in importers["click"] if not name.startswith("halab.cli.")} <= {
        "halab.cli.__init__"
    }


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_is_short_and_named_after_what_it_holds(module: Path) -> None:
    assert module.stem not in {"utils", "util", "common", "helpers", "helper", "misc"}
    assert len(module.read_text().splitlines()) <= MAXIMUM_LINES


def test_packages_name_modules_that_exist() -> None:
    missing = [
        f"{package.relative_to(ROOT)}: {name}"
        for package in MODULES
        if package.name == "__init__.py"
        for name in re.findall(r"\b\w+\.py\b", ast.get_docstring(ast.parse(package.read_text())) or "")
        if not (package.parent / name).exists()
    ]
    assert missing == []


def test_complete_modules_in_the_pages_are_formatted(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "developing.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    blocks = [block for block in blocks if "from __future__" in block]
    assert blocks
    for number, block in enumerate(blocks):
        (tmp_path / f"block_{number}.py").write_text(block)
    require_clean([tool("ruff"), "format", "--check", "--config", ROOT / "pyproject.toml", tmp_path])


def test_versions_agree() -> None:
    changelog = ROOT / "CHANGELOG.md"
    if not changelog.exists():
        missing("there is no CHANGELOG.md yet")
    newest, *older = re.findall(r"^## \[?v?(.+?)\]?$", changelog.read_text(), re.MULTILINE)
    # changes since the last release come first; before the first release there is nothing else
    released = older[:1] if newest == "Unreleased" else [newest]
    assert released in ([], [halab.__version__])


def test_license_is_the_one_that_is_declared() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()


def test_one_module_prints() -> None:
    """That module makes the text of files and machines harmless for a terminal."""
    printing = [path.name for path in MODULES if "click.echo" in path.read_text()]
    assert printing == ["console.py"]
