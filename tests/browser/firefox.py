"""Firefox as it is installed, driven by Marionette: one page, and whatever goes wrong on it.

Marionette is what Firefox itself speaks on a socket: JSON behind its length, with the commands of WebDriver.
Playwright's way to a Firefox that is not its own asks for more than Debian's can do, which may be a year
old, and Selenium needs a program that Debian does not have.
"""

import base64
import json
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PATIENCE = 90.0  # seconds; a busy machine is slow, not wrong
_PORT = "MarionetteActivePort"  # file in which Firefox says on which port it listens
_PREFERENCES = {"marionette.port": 0, "datareporting.policy.dataSubmissionEnabled": False}
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # what WebDriver calls a reference to an element
# Runs in the browser itself, which sees what every page asks for, throws, and says on its console.
_WATCH = """
const seen = (window.seen = { requests: [], errors: [] });
Services.obs.addObserver({ observe(channel) {
    channel.QueryInterface(Ci.nsIHttpChannel);
    if (channel.loadInfo.browsingContextID) seen.requests.push(channel.URI.spec); // 0: the browser's own
} }, "http-on-modify-request");
Services.console.registerListener({ observe(message) {
    if (!(message instanceof Ci.nsIScriptError) || message.category !== "content javascript") return;
    if (message.flags === Ci.nsIScriptError.errorFlag) seen.errors.push(message.errorMessage);
} });
const listens = `
    const all = Cc["@mozilla.org/systemprincipal;1"].createInstance(Ci.nsIPrincipal);
    const log = Cc["@mozilla.org/consoleAPI-storage;1"].getService(Ci.nsIConsoleAPIStorage);
    log.addLogEventListener(({ wrappedJSObject: { level, arguments: said } }) => {
        if (level === "error") sendAsyncMessage("said", said.join(" "));
    }, all);`;
window.messageManager.loadFrameScript("data:," + encodeURIComponent(listens), true);
window.messageManager.addMessageListener("said", ({ data }) => seen.errors.push(data));
"""
_RESIZE = """
const { style } = gBrowser.selectedBrowser;
const sides = { width: arguments[0], height: arguments[1] };
for (const [side, size] of Object.entries(sides))
    for (const name of [side, `min-${side}`, `max-${side}`]) style.setProperty(name, `${size}px`);
"""
_FIND = """
const [selector, text] = arguments;
const fits = (each) => each.textContent.includes(text) && each.checkVisibility();
return [...document.querySelectorAll(selector)].find(fits) ?? null;
"""


class Firefox:
    """A window with one page."""

    def __init__(self, binary: str, profile: Path) -> None:
        """Starts it without a screen.

        Args:
            binary: where Firefox is installed.
            profile: an empty folder for what it keeps.
        """
        lines = [
            f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _PREFERENCES.items()
        ]
        (profile / "user.js").write_text("\n".join(lines))
        own = ["--headless", "--marionette", "--remote-allow-system-access", "--profile", str(profile)]
        self._process = subprocess.Popen([binary, *own], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port = profile / _PORT
        until(lambda: port.is_file() and port.read_text(), "Firefox does not start")
        self._socket = socket.create_connection(("127.0.0.1", int(port.read_text())), PATIENCE)
        self._stream = self._socket.makefile("rb")
        self._number = 0
        self._receive()  # its greeting
        self._command("WebDriver:NewSession")
        self._command("WebDriver:SetTimeouts", script=1000 * PATIENCE, pageLoad=1000 * PATIENCE)
        self._in_browser(_WATCH)

    def visit(self, address: str, width: int, height: int) -> None:
        """Opens an address in a page of a size in px."""
        self._command("WebDriver:SetWindowRect", width=max(width, 600) + 100, height=height + 200)
        self._in_browser(_RESIZE, width, height)
        self._command("WebDriver:Navigate", url=address)

    def run(self, script: str, *values: object) -> Any:
        """Returns what a script returns, which reads the values as `arguments`; a promise is awaited."""
        return self._command("WebDriver:ExecuteScript", script=script, args=values, sandbox=None)["value"]

    def wait(self, script: str, *values: object) -> Any:
        """Returns what a script returns as soon as that is true."""
        return until(lambda: self.run(script, *values), f"never true: {script} {values}")

    def click(self, selector: str, text: str = "") -> None:
        """Presses the first element that can be seen and holds a text."""
        self._command("WebDriver:ElementClick", id=self.find(selector, text)[_ELEMENT])

    def find(self, selector: str, text: str = "") -> dict[str, str]:
        """Returns a reference to such an element as soon as there is one."""
        return self.wait(_FIND, selector, text)

    def drag(self, places: Sequence[tuple[float, float]]) -> None:
        """Moves the mouse, its button held, from the first of some places on the page to the last."""
        moves = [
            {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 100 if number else 0}
            for number, (x, y) in enumerate(places)
        ]
        down, up = ({"type": name, "button": 0} for name in ("pointerDown", "pointerUp"))
        source = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}}
        actions = [{**source, "actions": [moves[0], down, *moves[1:], up]}]
        self._command("WebDriver:PerformActions", actions=actions)

    def wrong(self, address: str) -> list[str]:
        """Returns the errors so far, and the requests that went elsewhere than below an address."""
        seen = self._in_browser("return window.seen")
        return [*seen["errors"], *(url for url in seen["requests"] if not url.startswith(address))]

    def screenshot(self) -> bytes:
        """Returns what is seen of the page as PNG bytes."""
        return base64.b64decode(self._command("WebDriver:TakeScreenshot", full=False)["value"])

    def close(self) -> None:
        """Ends it."""
        self._socket.close()
        self._process.terminate()
        self._process.wait(PATIENCE)

    def _in_browser(self, script: str, *values: object) -> Any:
        self._command("Marionette:SetContext", value="chrome")
        try:
            shared = {"sandbox": "system", "newSandbox": False}
            return self._command("WebDriver:ExecuteScript", script=script, args=values, **shared)["value"]
        finally:
            self._command("Marionette:SetContext", value="content")

    def _command(self, name: str, **parameters: object) -> Any:
        self._number += 1
        message = json.dumps([0, self._number, name, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, number, error, result = self._receive()
        assert number == self._number
        if error is not None:
            raise RuntimeError(f"{name}: {error['error']}: {error['message']}")
        return result

    def _receive(self) -> Any:
        digits = b""
        while (letter := self._stream.read(1)) not in (b":", b""):
            digits += letter
        return json.loads(self._stream.read(int(digits)))


def until(answer: Callable[[], Any], otherwise: str) -> Any:
    """Returns an answer as soon as there is one."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := answer():
            return found
        time.sleep(0.1)
    raise TimeoutError(otherwise)
