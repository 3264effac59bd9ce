"""After the heal, every component of the control plane runs where it should, and the fault left nothing behind."""

import json

ETCDCTL = (
    "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt"
    " --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key"
)


def hosts(control_planes, members):
    """All machines with static pods of kubeadm."""
    return {**control_planes, **members}


def test_every_component_has_one_process_on_every_machine_that_it_belongs_to(lab, control_planes, members):
    for name, host in hosts(control_planes, members).items():
        running = host.check_output("ps -eo comm=").splitlines()
        for component in lab.static_pods(lab.machine(name)):
            # the kernel keeps 15 characters of a name
            found = running.count(component[:15])
            assert found == 1, f"{component} on {name}: {found} processes"


def test_kubelet_and_containerd_run(control_planes, members):
    for name, host in hosts(control_planes, members).items():
        states = host.run("systemctl is-active kubelet containerd").stdout.split()
        assert states == ["active", "active"], f"kubelet and containerd on {name}"


def test_the_manifest_folder_holds_the_manifests_of_the_lab_and_nothing_else(lab, control_planes, members):
    for name, host in hosts(control_planes, members).items():
        expected = sorted(f"{pod}.yaml" for pod in lab.manifests(lab.machine(name)))
        # in one command, since each takes 40 ms
        found, held = host.check_output(
            "ls -A /etc/kubernetes/manifests; echo -; ls -d /etc/kubernetes/halab-held || true"
        ).split("\n-", 1)
        assert sorted(found.split()) == expected, name
        assert not held.strip(), f"a held manifest is left on {name}"


def test_etcd_has_every_member_started_and_none_is_a_learner(lab, members):
    host = next(iter(members.values()))
    listed = json.loads(host.check_output(f"{ETCDCTL} member list --write-out=json"))["members"]
    assert sorted(member["name"] for member in listed) == sorted(member.hostname for member in lab.members)
    assert not any(member.get("isLearner") for member in listed)


def test_etcd_members_hold_the_same_keys(members):
    """Members of one cluster hash to the same value at the same revision."""
    status = json.loads(
        next(iter(members.values())).check_output(f"{ETCDCTL} endpoint status --write-out=json")
    )
    revision = status[0]["Status"]["header"]["revision"]
    hashes = {}
    for name, host in members.items():
        output = host.check_output(f"{ETCDCTL} endpoint hashkv --rev={revision} --write-out=json")
        hashes[name] = json.loads(output)[0]["HashKV"]["hash"]
    assert len(set(hashes.values())) == 1, hashes


def test_the_load_balancer_or_the_dns_server_listens(lab, lb):
    assert lb.service(lab.load_balancer.kind.service).is_running
    # a configuration of the user's own may listen on one address only
    port = 53 if lab.has_dns else lab.load_balancer.port
    assert lb.check_output(f"ss -Hltn 'sport = :{port}'")
