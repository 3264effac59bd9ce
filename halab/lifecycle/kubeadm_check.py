"""Let kubeadm itself check the documents of a lab on this host, before a machine is made.

kubeadm would only warn of an unknown field in `init` and `join`, and then run without it.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network

from halab import process
from halab.config import yaml_source
from halab.config.yaml_source import YamlSource
from halab.errors import BadFile, Problem
from halab.images import bundle as bundles
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.topology import kubeadm
from halab.topology.lab import plan

# The addresses of a lab may not be chosen yet. kubeadm only checks that they are addresses.
_NETWORK = IPv4Network("10.213.0.0/24")
# They have the form of what kubeadm makes for a join.
_JOIN_VALUES = {"token": "abcdef.0123456789abcdef", "hash": f"sha256:{'0' * 64}", "key": "0" * 64}
_SECONDS = 20
_KIND = re.compile(r'Kind:"(\w+)"')
_FIELD = re.compile(r"[A-Za-z]\w*(?:\.\w+|\[\d+\])*")
# What is in front of the reason, and is known from the line of the lab file.
_PREFIXES = re.compile(
    r"^error: |^error unmarshaling configuration schema\.GroupVersionKind\{[^}]*\}: |^json: |^strict decoding error: "
    r"|^\w[\w.\[\]]*: (?=(Invalid|Required|Unsupported|Forbidden|Duplicate|Too) )"
)


def require(lab_dir: LabDir) -> bool:
    """Raise BadFile if kubeadm refuses the lab's documents. False if its bundle is not on this host yet."""
    written = lab_dir.written
    if not written.kubeadm.documents:
        return True
    lab = plan(labs.present_file(lab_dir), network=_NETWORK, provider=labs.provider_of(lab_dir))
    bundle = bundles.find(lab.release, written.kubernetes.source)
    if bundle is None:
        return False
    problems = []
    joining = lab.control_planes[-1]
    for documents in (kubeadm.init_documents(lab, {}), kubeadm.join_document(lab, joining, {})):
        text = str(documents)
        for name, value in _JOIN_VALUES.items():
            text = text.replace(f"@{name}@", value)
        done = process.run(
            [bundle.binary("kubeadm"), "config", "validate", "--config", "/dev/stdin"],
            input=text,
            timeout_seconds=_SECONDS,
            check=False,
        )
        if done.code != 0:
            problems.append(_problem(lab_dir, done.errors))
    if problems:
        raise BadFile(list(dict.fromkeys(problems)))
    return True


def _problem(lab_dir: LabDir, errors: str) -> Problem:
    """The problem that kubeadm reported, at the line of the lab file that it is about."""
    source = yaml_source.parse(lab_dir.content.decode("utf-8-sig"), str(lab_dir.file))
    lines = [line for line in errors.splitlines() if line.strip() and "stack trace" not in line]
    text = next((line for line in lines if line.startswith("error: ")), lines[-1] if lines else "no message")
    kind = _KIND.search(text)
    settings = [kubeadm.SETTINGS[kind[1]]] if kind else list(kubeadm.SETTINGS.values())
    paths = [path for setting in settings for path in _paths(source, setting, text)]
    while (shorter := _PREFIXES.sub("", text)) != text:
        text = shorter
    return source.problem(max(paths, key=len, default=("kubeadm",)), f"kubeadm refuses it: {text}")


def _paths(source: YamlSource, setting: str, text: str) -> list[yaml_source.Path]:
    """The paths in the file that a message names. The names of Go's types are between the names of fields."""
    start: yaml_source.Path = ("kubeadm", setting)
    if start not in source.lines:
        return []
    paths = []
    for field in _FIELD.findall(text):
        path = start
        for part in re.findall(r"\w+", field):
            longer = (*path, int(part) if part.isdigit() else part)
            path = longer if longer in source.lines else path
        paths.append(path)
    return paths or [start]
