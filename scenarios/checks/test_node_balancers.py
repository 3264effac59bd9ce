"""After the heal, the load balancer of every node serves this node alone, and has all control planes as servers."""

KUBECTL = "kubectl --kubeconfig=/etc/kubernetes/admin.conf"
CONFIGURATION = {"haproxy": "/etc/haproxy/haproxy.cfg", "nginx": "/etc/nginx/nginx.conf"}


def nodes(lab, machine):
    return {node.name: machine(node.name) for node in lab.nodes}


def test_it_runs_on_every_node(lab, machine):
    states = {
        name: host.run(f"systemctl is-active {lab.load_balancer.kind.service}").stdout.strip()
        for name, host in nodes(lab, machine).items()
    }
    assert states == dict.fromkeys(states, "active")


def test_it_listens_on_the_loopback_only(lab, machine):
    port = lab.endpoint.rpartition(":")[2]
    for name, host in nodes(lab, machine).items():
        listening = host.check_output(f"ss -Hltn 'sport = :{port}' | awk '{{ print $4 }}'").split()
        assert listening == [f"127.0.0.1:{port}"], name


def test_every_node_has_all_control_planes_as_servers(lab, machine):
    wanted = sorted(f"{each.address}:6443" for each in lab.control_planes)
    path = CONFIGURATION[lab.load_balancer.kind.service]
    for name, host in nodes(lab, machine).items():
        # HAProxy has a name before the address of a server, and NGINX has none
        servers = host.check_output(f"grep -E '^ +server ' {path} | grep -oE '[0-9.]+:6443'").split()
        assert sorted(servers) == wanted, name


def test_the_kubelet_of_a_worker_uses_it(lab, machine):
    for worker in lab.workers:
        kubelet = machine(worker.name).check_output("grep -o 'server: .*' /etc/kubernetes/kubelet.conf")
        assert kubelet == f"server: https://{lab.endpoint}", worker.name


def test_kube_proxy_uses_it(lab, control_planes):
    shown = next(iter(control_planes.values())).check_output(
        f"{KUBECTL} -n kube-system get configmap kube-proxy -o yaml | grep -o 'server: .*'"
    )
    assert shown == f"server: https://{lab.endpoint}"
