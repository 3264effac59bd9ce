"""After the heal, kube-vip runs on every control plane, and the one that has the lease has the address, alone."""

LEASE = (
    "kubectl --kubeconfig=/etc/kubernetes/admin.conf -n kube-system get lease plndr-cp-lock"
    " -o jsonpath={.spec.holderIdentity}"
)


def test_kube_vip_has_one_process_on_every_control_plane(control_planes):
    found = {name: host.run("pgrep -cx kube-vip").stdout.strip() for name, host in control_planes.items()}
    assert found == dict.fromkeys(control_planes, "1")


def test_the_holder_of_the_lease_has_the_address_and_nobody_else(lab, control_planes):
    show = f"ip -4 -o address show to {lab.virtual_address}/32"
    holders = [name for name, host in control_planes.items() if host.check_output(show)]
    assert holders == [next(iter(control_planes.values())).check_output(LEASE)]


def test_no_control_plane_uses_the_super_admin(control_planes):
    for name, host in control_planes.items():
        path = host.check_output(
            "grep -o '/etc/kubernetes/[a-z-]*[.]conf, type' /etc/kubernetes/manifests/kube-vip.yaml"
        )
        assert path == "/etc/kubernetes/admin.conf, type", name
