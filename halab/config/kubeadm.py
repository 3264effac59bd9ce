"""What people write for kubeadm: their parts of the five documents from which it makes a cluster.

They are merged into the documents that halab writes (topology/kubeadm.py). The models have the fields of kubeadm's API
that may be set. All supported versions of Kubernetes have this API, and kubeadm itself checks what is not listed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, StrictBool, Tag, WithJsonSchema

from halab.config import yaml_source
from halab.config.kubeadm_fields import (
    ADDONS,
    COREDNS,
    FREE_DOCUMENTS,
    INIT_PHASES,
    JOIN_PHASES,
    KUBE_PROXY,
    REFUSED,
)
from halab.config.loading import Model, nearest
from halab.printable import shortened

_API: Final = "kubeadm.k8s.io/v1beta4"
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PARTS = rf"([0-9]+(?:\.[0-9]+)?)({'|'.join(_UNITS)})"
_DURATION = f"0|({_PARTS})+"
_LEASE_FLAG = "leader-elect-lease-duration"


def _flag(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ValueError(
            "is not the name of a flag: write it without the dashes in front, such as profiling"
        )
    return value


def _duration(value: str) -> str:
    if not re.fullmatch(_DURATION, value):
        raise ValueError("should be a duration such as 90s, 10m or 8760h")
    return value


def _seconds(duration: str) -> float:
    return sum(float(amount) * _UNITS[unit] for amount, unit in re.findall(_PARTS, duration))


def _phase(known: Sequence[str]) -> AfterValidator:
    """kubeadm checks the names below a phase, such as `ca` of `certs/ca`: they differ between versions."""

    def checked(value: str) -> str:
        if value.split("/", 1)[0] not in known:
            raise ValueError(f"no such phase of kubeadm: {shortened(value)}{nearest(value, known)}")
        return value

    return AfterValidator(checked)


FlagName = Annotated[str, AfterValidator(_flag)]
Duration = Annotated[
    str, AfterValidator(_duration), WithJsonSchema({"type": "string", "pattern": f"^({_DURATION})$"})
]


class Document(Model):
    """A part of a document of kubeadm. As in every JSON merge patch (RFC 7396), null removes what halab writes."""

    null_removes: ClassVar[bool] = True


class Flag(Document):
    """A flag of a component; null removes a flag that halab sets."""

    name: FlagName
    value: str | None


def _shape(value: Any) -> str | None:
    if isinstance(value, dict):
        return "mapping"
    return "list" if isinstance(value, (list, tuple)) else None


def _as_list(value: Mapping[str, str | None] | tuple[Flag, ...]) -> tuple[Flag, ...]:
    return (
        tuple(Flag(name=name, value=text) for name, text in value.items())
        if isinstance(value, Mapping)
        else value
    )


# A list as in kubeadm's API, which can have a flag twice, or a mapping as in its older versions.
Flags = Annotated[
    Annotated[dict[FlagName, str | None], Tag("mapping")] | Annotated[tuple[Flag, ...], Tag("list")],
    Discriminator(
        _shape,
        custom_error_type="flags",
        custom_error_message='should be a mapping such as {v: "4"}, or a list of {name: …, value: …}',
    ),
    AfterValidator(_as_list),
]


class EnvVar(Document):
    name: str
    value: str | None = None
    valueFrom: dict[str, Any] | None = None


class HostPathMount(Document):
    name: str
    hostPath: str
    mountPath: str
    readOnly: bool | None = None
    pathType: str | None = None


class Component(Document):
    extraArgs: Flags | None = None
    extraVolumes: tuple[HostPathMount, ...] | None = None
    extraEnvs: tuple[EnvVar, ...] | None = None


class ApiServer(Component):
    certSANs: tuple[str, ...] | None = None


class LocalEtcd(Document):
    extraArgs: Flags | None = None
    extraEnvs: tuple[EnvVar, ...] | None = None
    serverCertSANs: tuple[str, ...] | None = None
    peerCertSANs: tuple[str, ...] | None = None


class Etcd(Document):
    local: LocalEtcd | None = None


class Addon(Document):
    disabled: StrictBool | None = None


class Networking(Document):
    dnsDomain: str | None = None


class ClusterConfiguration(Document):
    apiVersion: Literal["kubeadm.k8s.io/v1beta4"] = _API
    kind: Literal["ClusterConfiguration"] = "ClusterConfiguration"
    apiServer: ApiServer | None = None
    controllerManager: Component | None = None
    scheduler: Component | None = None
    etcd: Etcd | None = None
    networking: Networking | None = None
    dns: Addon | None = None
    proxy: Addon | None = None
    featureGates: dict[str, StrictBool | None] | None = None
    clusterName: str | None = None
    encryptionAlgorithm: str | None = Field(
        None, examples=["RSA-2048", "RSA-3072", "RSA-4096", "ECDSA-P256", "ECDSA-P384"]
    )
    certificateValidityPeriod: Duration | None = None
    caCertificateValidityPeriod: Duration | None = None


class Taint(Document):
    key: str
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class NodeRegistration(Document):
    taints: tuple[Taint, ...] | None = None
    kubeletExtraArgs: Flags | None = None
    ignorePreflightErrors: tuple[str, ...] | None = None
    imagePullPolicy: str | None = None
    imagePullSerial: bool | None = None


class Timeouts(Document):
    controlPlaneComponentHealthCheck: Duration | None = None
    kubeletHealthCheck: Duration | None = None
    kubernetesAPICall: Duration | None = None
    etcdAPICall: Duration | None = None
    tlsBootstrap: Duration | None = None
    discovery: Duration | None = None
    upgradeManifests: Duration | None = None


class InitConfiguration(Document):
    apiVersion: Literal["kubeadm.k8s.io/v1beta4"] = _API
    kind: Literal["InitConfiguration"] = "InitConfiguration"
    nodeRegistration: NodeRegistration | None = None
    skipPhases: tuple[Annotated[str, _phase(INIT_PHASES)], ...] | None = None
    timeouts: Timeouts | None = None


class JoinConfiguration(Document):
    apiVersion: Literal["kubeadm.k8s.io/v1beta4"] = _API
    kind: Literal["JoinConfiguration"] = "JoinConfiguration"
    nodeRegistration: NodeRegistration | None = None
    caCertPath: str | None = None
    skipPhases: tuple[Annotated[str, _phase(JOIN_PHASES)], ...] | None = None
    timeouts: Timeouts | None = None


def _free(name: str, description: str) -> Any:
    """A document whose fields kubeadm checks; editors get the names of the first level."""
    fields: dict[str, Any] = {field: {} for field in sorted(FREE_DOCUMENTS[name].fields)}
    return Field(None, description=description, json_schema_extra={"properties": fields})


class Kubeadm(Model):
    """The user's parts of kubeadm's documents, and the folder of patches for what kubeadm makes from them."""

    example: ClassVar[str] = "{patches: patches}"

    cluster: ClusterConfiguration | None = Field(
        None,
        description="merged into ClusterConfiguration: flags of the components, certificates, feature gates",
    )
    init: InitConfiguration | None = Field(None, description="merged into InitConfiguration, for cp1")
    join: JoinConfiguration | None = Field(
        None, description="merged into JoinConfiguration, for every machine that joins"
    )
    kubelet: dict[str, Any] | None = _free("kubelet", "merged into KubeletConfiguration, for all nodes")
    kube_proxy: dict[str, Any] | None = _free("kube_proxy", "merged into KubeProxyConfiguration")
    patches: str | None = Field(
        None,
        pattern=r"^[^\x00-\x1f]+$",
        description="a folder of kubeadm's patch files, such as kube-apiserver0+strategic.yaml",
    )

    @classmethod
    def problems_in(cls, value: yaml_source.Mapping) -> Iterable[tuple[yaml_source.Path, str]]:
        for path, reason in REFUSED.items():
            if (found := _find(value, path)) is not None:
                yield found, f"cannot be set: {reason}"
        for name, document in FREE_DOCUMENTS.items():
            part = value.get(name)
            for field, written in part.items() if isinstance(part, dict) else ():
                wanted = document.identity.get(field, written)
                if written != wanted:
                    yield (name, field), f"should be {wanted}"
                elif field not in document.fields | document.identity.keys():
                    yield (name, field), f"is not known{nearest(field, document.fields)}"

    @property
    def documents(self) -> dict[str, dict[str, Any]]:
        """The parts that are set, by the name of their setting, as plain values. A flag has a name and a value."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={"patches"})

    @property
    def has_dns(self) -> bool:
        """Whether kubeadm installs CoreDNS."""
        return self._installs(COREDNS, self.cluster.dns if self.cluster else None)

    @property
    def has_proxy(self) -> bool:
        """Whether kubeadm installs kube-proxy."""
        return self._installs(KUBE_PROXY, self.cluster.proxy if self.cluster else None)

    def _installs(self, phase: str, addon: Addon | None) -> bool:
        skipped = (self.init and self.init.skipPhases) or ()
        return not (addon and addon.disabled) and not {ADDONS, f"{ADDONS}/all", phase}.intersection(skipped)

    @property
    def lease_seconds(self) -> float:
        """The longest lease of a leader that the user sets; 0 without one."""
        cluster = self.documents.get("cluster", {})
        parts = [cluster.get(component) or {} for component in ("controllerManager", "scheduler")]
        flags = [flag for part in parts for flag in part.get("extraArgs") or ()]
        return max(
            (_seconds(flag["value"] or "") for flag in flags if flag["name"] == _LEASE_FLAG), default=0.0
        )

    def startup_seconds(self, default: float) -> float:
        """How long kubeadm lets a static pod start, in the longer of the documents; each has the default at first."""
        written = [document.timeouts for document in (self.init, self.join) if document]
        limits = [each.controlPlaneComponentHealthCheck for each in written if each]
        seconds = [_seconds(limit) or default for limit in limits if limit]
        # a document that does not say it
        return max(seconds + [default] * (2 - len(seconds)))


def _find(value: Any, path: tuple[str, ...]) -> yaml_source.Path | None:
    """The path in the file of what REFUSED names by `path`; None if it is not there. A list has flags."""
    found: yaml_source.Path = ()
    for name in path:
        if isinstance(value, dict) and name in value:
            found, value = (*found, name), value[name]
        elif isinstance(value, list):
            index = next(
                (at for at, flag in enumerate(value) if isinstance(flag, dict) and flag.get("name") == name),
                None,
            )
            if index is None:
                return None
            found, value = (*found, index, "name"), None
        else:
            return None
    return found
