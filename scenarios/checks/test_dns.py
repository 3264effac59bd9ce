"""After the heal, the endpoint's name has the address of every control plane, and no other."""


def test_every_control_plane_resolves_the_name_to_all_of_them(lab, control_planes):
    addresses = sorted(str(machine.address) for machine in lab.control_planes)
    for name, host in control_planes.items():
        found = host.check_output(f"getent ahostsv4 {lab.endpoint_name}").split()
        assert sorted(word for word in set(found) if word[0].isdigit()) == addresses, name
