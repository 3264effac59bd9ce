"""Drives a headless Chromium by its own protocol, over a pair of pipes: no driver and no port is needed."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip
_LIMIT_SECONDS = 60.0


def chromium() -> str:
    """The path of the browser. Without one the test is skipped; with CI=true it fails."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CI") == "true":
        pytest.fail("not installed: chromium")
    pytest.skip("not installed: chromium")


class Browser:
    """One tab. Scripts are expressions of JavaScript."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back, self._last, self._buffer = to, back, 0, b""
        self._session = ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self.errors: list[str] = []

    def look(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Set the size of the window and the colour scheme."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        self._call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        done = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def wait(self, script: str, limit_seconds: float = _LIMIT_SECONDS) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + limit_seconds
        while not self.run(f"Boolean({script})"):
            assert time.monotonic() < deadline, (
                f"never true: {script}\n{self.run('location.href')}\n{self.text('body')}"
            )
            time.sleep(0.05)

    def text(self, selector: str) -> str:
        """What is visible of an element; empty if there is none."""
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def click(self, selector: str) -> None:
        """Click with the mouse, at the middle of an element."""
        self.wait(f"document.querySelector({json.dumps(selector)})")
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        box = self.run(
            f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect(); "
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call(
                "Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1
            )

    def press(self, key: str) -> None:
        """Press a key: `Tab`, `Enter`."""
        code = {"Tab": 9, "Enter": 13}[key]
        given = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self._call(
            "Input.dispatchKeyEvent", type="keyDown", **given, **({"text": "\r"} if key == "Enter" else {})
        )
        self._call("Input.dispatchKeyEvent", type="keyUp", **given)

    def type(self, text: str) -> None:
        self._call("Input.insertText", text=text)

    def tab_to(self, element: str) -> None:
        """Press Tab until the element with this id has the focus."""
        for _ in range(100):
            if self.run("document.activeElement.id") == element:
                return
            self.press("Tab")
        raise AssertionError(f"the keyboard does not reach {element}")

    def picture(self, path: Path) -> None:
        """Write a picture of the whole page."""
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        self._session = ""
        self._call("Browser.close")

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _LIMIT_SECONDS
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        """Remember what the browser complains about, such as what the policy of a page refused."""
        if event.get("method") == "Page.javascriptDialogOpening":
            # a page asks before it does something: yes. The answer has a number that nobody waits for
            accept = {"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
            os.write(self._to, json.dumps({**accept, "sessionId": self._session}).encode() + b"\0")
        elif event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(event["params"]))
        elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
            self.errors.append(event["params"]["entry"]["text"])

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._back], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            chunk = os.read(self._back, 1 << 16)
            assert chunk, "the browser has ended"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@contextmanager
def browsing(path: str, folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in the folder, during the block."""
    ours, theirs = os.pipe(), os.pipe()
    # as root the browser has no sandbox; it only shows our own pages
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    argv = [path, *_FLAGS, *sandbox, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    # the browser reads at descriptor 3 and writes at 4
    shell = f'exec "$@" 3<&{ours[0]} 4>&{theirs[1]}'
    child = subprocess.Popen(
        ["bash", "-c", shell, "bash", *argv], pass_fds=(ours[0], theirs[1]), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    os.close(ours[0])
    os.close(theirs[1])
    try:
        browser = Browser(ours[1], theirs[0])
        yield browser
        browser.close()
        child.wait(20)
    finally:
        child.kill()
        child.wait()
        os.close(ours[1])
        os.close(theirs[0])
