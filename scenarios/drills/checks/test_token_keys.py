"""API servers that share tokens have the same keys for them, and have read them since they were changed."""


def test_the_keys_are_the_same_on_all_control_planes(lab, machine):
    sums = {
        machine(each.name).check_output(
            "cat /etc/kubernetes/pki/sa.key /etc/kubernetes/pki/sa.pub | sha256sum"
        )
        for each in lab.control_planes
    }
    assert len(sums) == 1, "some of their tokens are refused by others"


def test_every_api_server_was_started_after_its_keys_were_changed(lab, machine):
    stale = []
    for each in lab.control_planes:
        host = machine(each.name)
        changed = float(host.check_output("stat -c %Y /etc/kubernetes/pki/sa.key"))
        running = float(host.check_output("ps -C kube-apiserver -o etimes= | head -n 1").strip() or 0)
        if float(host.check_output("date +%s")) - running < changed:
            stale.append(each.name)
    assert not stale, f"not started since its files were changed: the API server on {', '.join(stale)}"
