"""The object that was in the snapshot is there again."""

_KUBECTL = "kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=10s"


def test_the_configmap_is_there(lab, machine):
    first = machine(lab.control_planes[0].name)
    said = first.run(f"{_KUBECTL} -n default get configmap inventory -o jsonpath={{.data.machines}}")
    assert said.succeeded, f"kubectl says: {said.stderr.strip()[-200:]}"
    assert said.stdout == "3"
