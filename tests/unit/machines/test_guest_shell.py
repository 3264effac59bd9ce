"""The shell on a machine that stays open; here it is one on this host."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from halab.errors import Unreachable
from halab.machines.guest_shell import GuestShell

# As ssh does: the words after the name of the machine are one line for a shell there.
HERE = ("sh", "-c", 'eval "exec $*"', "ssh")


def shell(*ssh: str) -> GuestShell:
    return GuestShell(ssh or HERE, as_root=())


def test_answers_are_one_line_and_belong_to_their_questions() -> None:
    async def ask() -> list[str]:
        on_machine = shell()
        try:
            slow = asyncio.create_task(on_machine.ask("sleep 0.2; echo slow"))
            quick = await on_machine.ask("echo one; echo two")
            assert not slow.done()
            return [quick, await slow, await on_machine.ask("true")]
        finally:
            await on_machine.close()

    assert asyncio.run(ask()) == ["one two", "slow", ""]


def test_a_cut_ends_the_question_and_a_later_one_opens_a_new_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = tmp_path / "once"
    # the first connection ends without an answer
    flaky = f'read -r line; if [ -e {once} ]; then eval "$line"; else touch {once}; fi'

    async def ask() -> str:
        on_machine = shell("sh", "-c", flaky, "ssh")
        try:
            with pytest.raises(Unreachable, match="the connection is cut"):
                await on_machine.ask("echo first")
            # a machine that is off is not tried at once
            with pytest.raises(Unreachable, match="the connection is cut"):
                await on_machine.ask("echo second")
            monkeypatch.setattr(on_machine, "_opens_from", 0.0)
            return await on_machine.ask("echo again")
        finally:
            await on_machine.close()

    assert asyncio.run(ask()) == "again"


def test_a_machine_without_an_answer_is_not_asked_without_end() -> None:
    async def ask() -> None:
        silent = shell("sh", "-c", "exec sleep 3600", "ssh")
        try:
            # on a busy host, the time of some is over before the shell has started
            for _ in range(10_000):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await silent.ask("true")
        finally:
            await silent.close()

    with pytest.raises(Unreachable, match="50 commands without an answer"):
        asyncio.run(ask())


def test_a_missing_ssh_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="ssh does not start: No such file"):
        asyncio.run(shell("/no/such/ssh").ask("true"))
