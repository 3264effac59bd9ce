"""The proxies for the machines of a lab: each on one line, and never shown."""

from __future__ import annotations

import pytest

from halab.errors import HostProblem
from halab.machines.host import proxies


def test_proxies_of_the_environment_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://ada:p$s%23@proxy.example:3128")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://[fd00::1]:1080")
    monkeypatch.setenv("no_proxy", "localhost, 127.0.0.1 ,.corp")
    monkeypatch.setenv("NO_PROXY", "")
    assert proxies.of_environment() == {
        "http_proxy": "http://ada:p$s%23@proxy.example:3128",
        "HTTPS_PROXY": "socks5://[fd00::1]:1080",
        "no_proxy": "localhost,127.0.0.1,.corp",
    }


@pytest.mark.parametrize(
    ("character", "shown", "percent"),
    [("\n", "U\\+000A", "%0A"), ("\r", "U\\+000D", "%0D"), ("\x1b", "U\\+001B", "%1B"), (" ", "' '", "%20"),
     ("'", '"\'"', "%27"), ('"', "'\"'", "%22"), ("#", "'#'", "%23"), ("\\", r"'\\\\'", "%5C"),
     ("\u2028", "U\\+2028", "%E2%80%A8"), ("\t", "U\\+0009", "%09")],
)  # fmt: skip
def test_a_character_that_would_end_the_value_is_refused_without_showing_the_value(
    monkeypatch: pytest.MonkeyPatch, character: str, shown: str, percent: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:secret{character}@proxy:3128")
    with pytest.raises(
        HostProblem, match=f"the variable HTTPS_PROXY has a character .*: {shown}$"
    ) as caught:
        proxies.of_environment()
    hint = caught.value.hint or ""
    assert hint == f"write {percent} instead if it is a part of the address, or: unset HTTPS_PROXY"
    assert "secret" not in caught.value.message + hint


def test_a_line_break_in_no_proxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "localhost,\n127.0.0.1")
    with pytest.raises(HostProblem, match="no_proxy"):
        proxies.of_environment()
