"""A member that has used most of its quota will raise the alarm again soon."""

import json
import re

_DEFAULT_QUOTA_BYTES = 2 << 30
_CREDENTIALS = "--cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/server.crt"
_STATUS = f"etcdctl {_CREDENTIALS} --key=/etc/kubernetes/pki/etcd/server.key endpoint status -w json"


def _quota(status, manifest):
    """The quota of a member in bytes; etcd before 3.6 does not report it."""
    written = re.search(r"--quota-backend-bytes=(\d+)", manifest)
    return status.get("dbSizeQuota") or (int(written[1]) if written else _DEFAULT_QUOTA_BYTES)


def test_every_member_has_used_less_than_half_of_its_quota(lab, machine):
    full = []
    for each in lab.control_planes:
        host = machine(each.name)
        [answer] = json.loads(host.check_output(_STATUS))
        used = answer["Status"]["dbSize"]
        most = _quota(answer["Status"], host.check_output("cat /etc/kubernetes/manifests/etcd.yaml"))
        if used >= most / 2:
            full.append(f"{100 * used / most:.0f} %")
    # without names: which member it is may be a question of the drill
    assert not full, f"every member must use less than 50 % of its quota; used: {', '.join(full)}"
