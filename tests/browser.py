"""A browser that opens pages: Chromium, spoken to through its own pipe (no driver, no network)."""

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-extensions", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One tab of a browser; ``said`` collects what its console shows and its policy refuses."""

    def __init__(self, profile: Path) -> None:
        theirs, ours = os.pipe(), os.pipe()  # commands to the browser; answers from it
        read, write = (fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs[0], ours[1]))
        command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        # The browser reads from descriptor 3 and writes to 4; ours are moved out of their way.
        places = f'exec 3<&{read} 4>&{write} {read}<&- {write}>&-; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", places, "bash", *command],
            pass_fds=(read, write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (theirs[0], ours[1], read, write):
            os.close(end)
        self._out, self._in = os.fdopen(theirs[1], "wb"), os.fdopen(ours[0], "rb")
        self._number, self._held = 0, b""
        self.said: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    _session: str | None = None

    def ask(self, method: str, **settings: Any) -> Any:
        """A command and its answer; what happens until then is noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": settings}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while (found := self._next()).get("id") != self._number:
            self._note(found)
        assert "error" not in found, found
        return found["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            read = self._in.read1(1 << 20)
            assert read, "the browser ended"
            self._held += read
        message, _, self._held = self._held.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> str:
        told, method = event.get("params", {}), event.get("method", "")
        if method == "Runtime.exceptionThrown":
            self.said.append(str(told["exceptionDetails"].get("exception", told)))
        elif method == "Log.entryAdded":
            self.said.append(told["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.said.append(f"{told['type']}: {[each.get('value') for each in told['args']]}")
        return method

    def open(self, page: Path) -> None:
        """Open a file and wait until it and its figures are there."""
        self.ask("Page.navigate", url=page.resolve().as_uri())
        while self._note(self._next()) != "Page.loadEventFired":
            pass
        self.settled()

    def look(self, *, width: int, scheme: str, media: str = "", height: int = 900) -> None:
        """Give the window a width, and its reader a preference for light or dark; or paper."""
        sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", **sizes)
        preferred = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=media, features=preferred)
        self.settled()

    def settled(self) -> None:
        """Wait until what follows a new size (plotly.js waits 100 ms) has been drawn."""
        self.value("new Promise((done) => setTimeout(() => requestAnimationFrame(done), 150))")

    def value(self, expression: str) -> Any:
        """The value of an expression in the page, awaited if it is promised."""
        asked = {"returnByValue": True, "awaitPromise": True}
        found = self.ask("Runtime.evaluate", expression=expression, **asked)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def close(self) -> None:
        self._session = None
        self.ask("Browser.close")
        self._process.wait(20)
        self._out.close()
        self._in.close()
