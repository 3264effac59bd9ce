"""Rendering: pure, and every value in shell, Ruby or OpenSSH's configuration is quoted."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import lab_of

from halab import data, templates
from halab.config.lab import ProviderKind
from halab.config.load_balancer import Balancer, LoadBalancer
from halab.process import PROXIES
from halab.topology import balancer, domain, files
from halab.topology.domain import Owner
from halab.topology.files import HostValues

_PROXIES = [kind for kind in Balancer if kind.has_machines and kind.has_settings]
HOST = HostValues(
    work="/labs/.halab",
    identity="0123456789ab",
    base="halab/debian-12:0",
    private_key="/labs/key",
    public_key="ssh-ed25519 A",
    proxies={},
)


def test_host_names_reach_the_machine_the_node_and_the_member() -> None:
    hosts = {"lb1": {"hostname": "front"}, "cp2": {"hostname": "beta"}, "w1": {"hostname": "worker-a"}}
    rendered = files.work_files(lab_of(workers=1, machines=hosts), HOST)
    assert "config.vm.define 'cp2' do |m|\n    m.vm.hostname = 'beta'" in rendered["Vagrantfile"]
    assert "\n10.213.7.11 cp1\n10.213.7.12 beta cp2\n" in rendered["provision/cp1/node.sh"]
    assert "\n  name: beta\n" in rendered["provision/cp2/join.sh"]
    assert "\n  name: worker-a\n" in rendered["provision/w1/join.sh"]
    assert "\n    - lb1\n    - front\n" in rendered["provision/cp1/init.sh"]
    assert "server cp2 10.213.7.12:6443" in rendered["provision/lb1/load-balancer.sh"]


def test_etcd_machines_are_members_by_their_host_names() -> None:
    lab = lab_of(etcd={"topology": "external"}, machines={"etcd2": {"hostname": "store-b"}})
    script = files.work_files(lab, HOST)["provision/etcd2/etcd.sh"]
    assert "value: etcd1=https://10.213.7.41:2380,store-b=https://10.213.7.42:2380,etcd3=" in script
    assert "--hostname-override=store-b" in script


@given(st.text())
def test_a_ruby_literal_ends_where_it_should(value: str) -> None:
    literal = templates.ruby(value)
    assert literal[0] == literal[-1] == "'"
    inside = literal[1:-1].replace("\\\\", "")
    assert "'" not in inside.replace("\\'", "")
    assert not inside.replace("\\'", "").endswith("\\")


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_a_proxy_is_one_word_of_the_shell(value: str) -> None:
    template = templates._environment(autoescape=False).from_string("{{ value | sh }}")
    assert shlex.split(template.render(value=value)) == [value]


@pytest.mark.parametrize(("text", "end"), [("a\n", "EOF"), ("EOF \n", "EOF"), ("EOF\nEOF-\n", "EOF--")])
def test_no_line_of_a_text_ends_its_here_document(text: str, end: str) -> None:
    assert templates.here_end(text) == end


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85"])
@pytest.mark.parametrize("quoting", ["", "| sh", "| ruby", "| ssh"])
def test_a_value_is_always_on_one_line(character: str, quoting: str) -> None:
    template = templates._environment(autoescape=False).from_string(f"x {{{{ value {quoting} }}}}")
    with pytest.raises(ValueError, match="control character"):
        template.render(value=f"a{character}ProxyCommand id")


def test_the_output_of_a_template_may_have_several_lines() -> None:
    inner = templates.text("balancer/nginx.conf.j2", lab=lab_of(), settings=LoadBalancer(), port=1, method="",
                        failures="max_fails=1")  # fmt: skip
    template = templates._environment(autoescape=False).from_string("{{ value }}")
    assert "\n" in inner
    assert template.render(value=inner) == inner


@pytest.mark.parametrize(
    "name", ["a key", "it's", 'say "x"', "back\\slash", "#1", "a=b", "50%", "$HOME", "é"]
)
def test_openssh_reads_a_quoted_word_unchanged(tmp_path: Path, name: str) -> None:
    (tmp_path / "config").write_text(f"Host x\n  IdentityFile {templates.ssh(f'/k/{name}')}\n")
    done = subprocess.run(
        ["ssh", "-G", "-F", tmp_path / "config", "x"], capture_output=True, text=True, check=True, timeout=30
    )
    # `ssh -G` shows an escaped %h as it was written
    assert f"identityfile /k/{name.replace('%', '%%')}" in done.stdout.splitlines()


def test_a_variable_that_openssh_would_replace_is_refused() -> None:
    with pytest.raises(ValueError, match="variable"):
        templates.ssh("/k/${HOME}")


def test_an_unknown_value_in_a_template_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        templates.text("ssh_config.j2")


def test_a_page_escapes_and_text_does_not() -> None:
    for autoescape, expected in ((True, "&lt;b&gt;"), (False, "<b>")):
        assert (
            templates._environment(autoescape=autoescape).from_string("{{ x }}").render(x="<b>") == expected
        )


def test_a_fingerprint_depends_on_the_content_of_the_folders() -> None:
    assert templates.fingerprint("box") == templates.fingerprint("box")
    assert templates.fingerprint("box") != templates.fingerprint("provision")


def test_the_same_input_gives_the_same_files() -> None:
    assert files.work_files(lab_of(), HOST) == files.work_files(lab_of(), HOST)


def test_every_machine_has_the_scripts_of_its_role() -> None:
    names = set(files.work_files(lab_of(control_planes=1, workers=1), HOST))
    assert "provision/lb1/load-balancer.sh" in names
    assert {f"provision/cp1/{name}.sh" for name in ("node", "init", "join-material")} <= names
    assert {name for name in names if "/w1/" in name} == {"provision/w1/node.sh", "provision/w1/join.sh"}


def test_one_template_serves_both_providers() -> None:
    docker = files.work_files(lab_of(), HOST)["Vagrantfile"]
    libvirt = files.work_files(lab_of(provider=ProviderKind.LIBVIRT), HOST)["Vagrantfile"]
    assert "m.vm.provider 'docker'" in docker and "'libvirt'" not in docker
    assert "m.vm.provider 'libvirt'" in libvirt and "'docker'" not in libvirt


def test_emulation_is_used_only_if_it_was_chosen() -> None:
    emulated = files.work_files(lab_of(provider=ProviderKind.LIBVIRT, accel="tcg"), HOST)
    assert "libvirt.driver = 'qemu'" in emulated["Vagrantfile"]
    assert "heartbeat-interval" in emulated["provision/cp1/init.sh"]
    for script in ("cp1/init.sh", "cp2/join.sh"):
        assert "readinessProbe" in emulated[f"provision/{script}"]
        assert "  directory: /etc/kubernetes/halab-patches\n" in emulated[f"provision/{script}"]
    for accel in ("auto", "kvm"):
        fast = files.work_files(lab_of(provider=ProviderKind.LIBVIRT, accel=accel), HOST)
        assert "libvirt.driver = 'kvm'" in fast["Vagrantfile"]
        assert "heartbeat-interval" not in fast["provision/cp1/init.sh"]


def test_a_label_survives_xml_and_json() -> None:
    lab = lab_of(provider=ProviderKind.LIBVIRT)
    work = '/labs/it\'s <one> & "two"/é'
    label = domain.description(lab, lab.machine("cp1"), work=work, identity="here")
    assert not set(label) & set("<>&")
    owner = domain.owner(label)
    assert owner == Owner("ha", work, "cp1") and owner.host == "here"
    assert [domain.owner(text) for text in ("", "a note", "[]", '{"halab.lab": 1}')] == [None] * 4
    for name, xml in domain.networks(lab, work=work, identity="here", made="2026-01-01").items():
        tree = ElementTree.fromstring(xml)
        assert tree.findtext("name") == name
        found = domain.network_owner(xml)
        assert found == Owner("ha", work) and found.host == "here"
        assert domain.network_made(xml) == "2026-01-01"


def test_only_scripts_of_containers_treat_their_machine_as_a_container() -> None:
    docker = files.work_files(lab_of(), HOST)
    libvirt = files.work_files(lab_of(provider=ProviderKind.LIBVIRT), HOST)
    assert "KubeletInUserNamespace" in docker["provision/cp1/init.sh"]
    assert "KubeletInUserNamespace" not in libvirt["provision/cp1/init.sh"]
    assert "SystemdCgroup = true" in libvirt["provision/cp1/node.sh"]


def test_without_workers_pods_run_on_control_planes() -> None:
    assert "taints: []" in files.work_files(lab_of(), HOST)["provision/cp1/init.sh"]
    assert "taints: []" not in files.work_files(lab_of(workers=1), HOST)["provision/cp1/init.sh"]


def test_routes_lead_to_the_pods_of_the_other_nodes() -> None:
    script = files.work_files(lab_of(), HOST)["provision/cp2/node.sh"]
    assert "ip route replace 10.244.11.0/24 via 10.213.7.11" in script
    assert "ip route replace 10.244.13.0/24 via 10.213.7.13" in script
    assert "ip route replace 10.244.12.0/24" not in script


def test_a_name_of_the_endpoint_is_resolved_by_every_machine_and_is_in_the_certificates() -> None:
    rendered = files.work_files(lab_of(endpoint="api.lab.example", workers=1), HOST)
    for machine, script in (("lb1", "load-balancer.sh"), ("cp2", "node.sh"), ("w1", "node.sh")):
        assert "\n10.213.7.10 lb1 api.lab.example\n" in rendered[f"provision/{machine}/{script}"]
    assert "controlPlaneEndpoint: api.lab.example:6443\n" in rendered["provision/cp1/init.sh"]
    # this host reaches the load balancer by its address
    assert "  - 10.213.7.10\n" in rendered["provision/cp1/init.sh"]
    assert "apiServerEndpoint: api.lab.example:6443\n" in rendered["provision/w1/join.sh"]


def test_guests_reach_the_lab_without_the_proxy() -> None:
    host = HostValues(
        **{**HOST.__dict__, "proxies": {"HTTPS_PROXY": "http://p:1/$(id)", "NO_PROXY": "corp"}}
    )
    script = files.work_files(lab_of(), host)["provision/cp1/node.sh"]
    assert "HTTPS_PROXY='http://p:1/$(id)'\n" in script
    assert "\nno_proxy=corp,10.213.7.0/24,10.244.0.0/16,10.96.0.0/12," in script
    assert ",lb1,cp1,cp2,cp3\n" in script


def test_only_root_may_read_the_password_of_a_proxy() -> None:
    host = HostValues(**{**HOST.__dict__, "proxies": {"http_proxy": "http://ada:hunter2@p:1"}})
    for provider in ProviderKind.DOCKER, ProviderKind.LIBVIRT:
        rendered = files.work_files(lab_of(provider=provider, workers=1), host)
        # users of the engine, and everybody who lists processes, can see the arguments of a container
        assert "hunter2" not in rendered["Vagrantfile"]
        holding = {name for name, text in rendered.items() if "hunter2" in text}
        assert {name.rpartition("/")[2] for name in holding} == {"node.sh", "load-balancer.sh"}
        for name in holding:
            before, _, after = rendered[name].partition("put 0600 /etc/environment <<'EOF'\n")
            assert "hunter2" not in before
            assert "hunter2" not in after.partition("\nEOF\n")[2]


def test_kubeadm_gets_no_proxy() -> None:
    for script in files.work_files(lab_of(workers=1), HOST).values():
        before, _, after = script.partition("\nunset ")
        if re.search(r"kubeadm (init|join|certs|token|reset)", script):
            assert after.splitlines()[0].split() == list(PROXIES)
            assert not re.search(r"kubeadm (init|join|certs|token|reset)", before)


def test_the_certificate_key_is_not_a_command_line_argument() -> None:
    script = files.work_files(lab_of(), HOST)["provision/cp1/join-material.sh"]
    uses = [line for line in script.splitlines() if re.search(r"\$\{?key\b", line)]
    # a line of a file, and the output of the shell
    assert [line.split()[0] for line in uses] == ["certificateKey:", "echo"]


@pytest.mark.parametrize(("before", "after"), [("0644", 0o600), ("0600", 0o600)])
def test_an_existing_file_on_a_machine_gets_the_wanted_mode(tmp_path: Path, before: str, after: int) -> None:
    functions = (data.templates() / "provision/functions.sh").read_text()
    target = tmp_path / "environment"
    for wanted in (before, "0600"):
        script = f"{functions}\nput {wanted} {target} <<<'same'\n"
        said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert target.stat().st_mode & 0o777 == after
    assert (f"changed: {target}" in said.stdout) is (before != "0600")


def test_the_environment_does_not_change_without_a_proxy() -> None:
    assert "/etc/environment" not in files.work_files(lab_of(), HOST)["provision/cp1/node.sh"]


def test_haproxy_checks_readyz_or_only_connects() -> None:
    asks = balancer.configuration(lab_of()).text
    connects = balancer.configuration(lab_of(load_balancer={"check": "tcp"})).text
    assert "uri /readyz" in asks
    assert "inter 1s fall 2 rise 1" in asks
    assert "readyz" not in connects
    assert "default-server check inter 1s" in connects


@pytest.mark.parametrize("kind", _PROXIES)
def test_every_load_balancer_disables_the_others(kind: Balancer) -> None:
    configured = balancer.configuration(lab_of(load_balancer={"kind": kind}))
    assert configured.service == f"{kind}.service"
    assert set(configured.others) == {f"{other}.service" for other in _PROXIES} - {configured.service}


def test_ssh_reaches_only_machines_with_an_address() -> None:
    config = files.ssh_config(
        lab_of(),
        {"cp1": "172.17.0.2"},
        private_keys={"cp1": '/a lab/it\'s "one"/key'},
        known_hosts="/50%/known_hosts",
    )
    assert "Host cp1\n  HostName 172.17.0.2\n" in config
    assert "Host cp2" not in config
    assert '  IdentityFile "/a lab/it\'s \\"one\\"/key"\n' in config
    assert '  UserKnownHostsFile "/50%%/known_hosts"\n' in config
