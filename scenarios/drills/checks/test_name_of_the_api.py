"""The name of the API leads to every control plane, and to no other address."""


def test_the_name_has_the_addresses_of_all_control_planes(lab, machine):
    server = machine(lab.balancer.name)
    # on a virtual machine, systemd-resolved may have kept an older answer
    server.run("resolvectl flush-caches")
    found = server.run(f"getent ahostsv4 {lab.endpoint_name}").stdout.split()
    found = {word for word in found if word.count(".") == 3 and word[0].isdigit()}
    missing = sorted(each.name for each in lab.control_planes if str(each.address) not in found)
    assert not missing, "they do not find every API server"
    assert len(found) == len(lab.control_planes), "they find something that is no API server"
