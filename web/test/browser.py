"""Drives Chromium through its pipe of the DevTools protocol, and serves a folder to it; needs nothing but Python and Chromium."""

import base64
import functools
import http.server
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import threading
import time

# The security policy that `docs/browser.md` asks of a server.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'"
)
FLAGS = [
    "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader",
]


class Handler(http.server.SimpleHTTPRequestHandler):
    cache, policy = "no-store", POLICY
    extensions_map = {
        ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", "": "application/octet-stream",
    }

    def end_headers(self):
        if self.policy:
            self.send_header("Content-Security-Policy", self.policy)
        self.send_header("Cache-Control", self.cache)
        super().end_headers()

    def log_message(self, *_):
        pass


class FreeHandler(Handler):
    """Lets browsers keep files, and programs of others evaluate texts."""

    cache, policy = "max-age=3600", None


def serve(folder, handler=Handler):
    """Serves a folder on this machine. Returns its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


class Browser:
    """A running Chromium with one page."""

    def __init__(self, chromium="chromium", flags=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wgrad-web-"))
        self.downloads = self.folder / "downloads"
        self.downloads.mkdir()
        to_browser, self.to = os.pipe()
        self.of, from_browser = os.pipe()

        def pipes():
            # Copies first: an end may have one of the numbers that Chromium wants.
            ends = os.dup(to_browser), os.dup(from_browser)
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen(
            [chromium, *FLAGS, *flags, f"--user-data-dir={self.folder}/profile", "about:blank"],
            preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.number, self.messages = b"", 0, []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(it for it in targets if it["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.page(f"{domain}.enable")
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def next_message(self, until):
        """Reads a message; None when there is none in time."""
        while b"\0" not in self.buffer:
            if not select.select([self.of], [], [], max(0, until - time.monotonic()))[0]:
                return None
            part = os.read(self.of, 1 << 20)
            if not part:
                raise RuntimeError("Chromium has ended")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(text)
        if message.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.messages.append(message["params"])
        return message

    def call(self, method, session=None, limit=120, **params):
        """Calls a method of the protocol."""
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if session:
            request["sessionId"] = session
        os.write(self.to, json.dumps(request).encode() + b"\0")
        until = time.monotonic() + limit
        while True:
            message = self.next_message(until)
            if message is None:
                raise TimeoutError(f"{method}: no answer in {limit} s")
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]

    def page(self, method, **params):
        return self.call(method, self.session, **params)

    def open(self, address, width=1280, height=900, dark=False):
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.page("Emulation.setEmulatedMedia", features=scheme)
        self.page("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.page("Page.navigate", url=address)

    def value(self, script, limit=120):
        """Returns the value of a JavaScript expression, of a promise what it becomes."""
        result = self.page(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True, limit=limit
        )
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", script))
        return result["result"].get("value")

    def wait_for(self, script, limit=120):
        """Waits until an expression is true, and returns its value."""
        until = time.monotonic() + limit
        while time.monotonic() < until:
            try:
                found = self.value(script)
            except RuntimeError:
                # The page is just being loaded.
                found = None
            if found:
                return found
            time.sleep(0.05)
        raise TimeoutError(f"{script}: not true after {limit} s; the page says {self.problem()!r}")

    def problem(self):
        return self.value("document.getElementById('problem')?.hidden ? '' : document.getElementById('problem')?.textContent")

    def choose(self, selector, path):
        """Chooses a file in an input, as a person would."""
        root = self.page("DOM.getDocument")["root"]["nodeId"]
        node = self.page("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.page("DOM.setFileInputFiles", nodeId=node, files=[str(pathlib.Path(path).resolve())])

    def click(self, selector):
        """Clicks the middle of an element with the mouse."""
        place = self.value(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)}); it.scrollIntoView({{block: 'center'}});"
            "const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        at = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        self.page("Input.dispatchMouseEvent", type="mousePressed", **at)
        self.page("Input.dispatchMouseEvent", type="mouseReleased", **at)

    def downloaded(self, name, limit=60):
        """Waits for a downloaded file and returns its bytes."""
        path, until = self.downloads / name, time.monotonic() + limit
        while not path.exists() or list(self.downloads.glob("*.crdownload")):
            if time.monotonic() > until:
                raise TimeoutError(f"{name} was not downloaded; the page says {self.problem()!r}")
            self.next_message(time.monotonic() + 0.05)
        return path.read_bytes()

    def shot(self, path):
        size = self.page("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.page("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))
