"""kubeadm's record of the cluster: an upgrade runs the versions of etcd and CoreDNS that it names."""

from __future__ import annotations

import json

import pytest
from support.fakes import FakeGuests, lab_of

from halab.cluster import kubeadm_config
from halab.config import yaml_source
from halab.errors import LabProblem

UPGRADED = lab_of(kubernetes={"version": "1.37.2"})
DOCUMENT = """\
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
dns: {imageTag: v1.14.2}
etcd:
  local:
    dataDir: /var/lib/etcd
    extraArgs: [{name: log-level, value: "warn"}]
    imageTag: 3.6.16-0
kubernetesVersion: v1.36.5
"""


def guests(document: str) -> FakeGuests:
    record = {
        "kind": "ConfigMap",
        "metadata": {"resourceVersion": "7"},
        "data": {"ClusterConfiguration": document},
    }
    return FakeGuests({"get configmap": json.dumps(record)})


def test_the_tags_change_and_the_rest_stays() -> None:
    asked = guests(DOCUMENT)
    kubeadm_config.set_images(asked, "cp2", UPGRADED)
    (call,) = [call for call in asked.calls if "replace" in call.command]
    assert call.machine == "cp2"
    record = json.loads(call.input or "")
    # a change in the meantime is not overwritten
    assert record["metadata"] == {"resourceVersion": "7"}
    document = yaml_source.parse(record["data"]["ClusterConfiguration"], "it").value
    assert document["etcd"]["local"]["imageTag"] == "3.7.3-0"
    assert document["dns"] == {"imageTag": "v1.14.6"}
    assert document["etcd"]["local"]["extraArgs"] == [{"name": "log-level", "value": "warn"}]
    assert document["kubernetesVersion"] == "v1.36.5"


def test_nothing_is_written_twice() -> None:
    asked = guests(DOCUMENT.replace("3.6.16-0", "3.7.3-0").replace("v1.14.2", "v1.14.6"))
    kubeadm_config.set_images(asked, "cp1", UPGRADED)
    assert len(asked.calls) == 1


@pytest.mark.parametrize("document", ["etcd: {external: {}}\n", "- a list\n", "null\n"])
def test_a_record_of_another_form_is_refused(document: str) -> None:
    with pytest.raises(LabProblem, match="no valid ClusterConfiguration"):
        kubeadm_config.set_images(guests(document), "cp1", UPGRADED)
