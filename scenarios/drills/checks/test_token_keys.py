"""Every API server accepts the tokens of service accounts that each API server makes."""

_PORT = 6443
_KUBECTL = "kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=10s"
# prints what each API server answers: 401 to a token that it cannot verify, 000 if it does not answer
_USE = (
    "for address in {addresses}; do curl -sk -m 10 -o /dev/null -w '%{{http_code}} ' "
    '-H "Authorization: Bearer $token" https://$address:{port}/api; done; true'
)


def test_every_token_is_accepted_by_every_api_server(lab, machine):
    use = _USE.format(addresses=" ".join(str(each.address) for each in lab.control_planes), port=_PORT)
    problems = []
    for maker in lab.control_planes:
        make = f"{_KUBECTL} --server=https://{maker.address}:{_PORT} -n default create token default"
        done = machine(maker.name).run(f"token=$({make}) || exit 1; {use}")
        if not done.succeeded:
            problems.append(f"the API server on {maker.name} makes no token")
            continue
        for asked, code in zip(lab.control_planes, done.stdout.split(), strict=True):
            if code != "200":
                problems.append(f"a token that {maker.name} makes: {asked.name} answers {code}")
    assert not problems, "; ".join(problems)
