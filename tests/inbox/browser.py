"""Chromium by the WebDriver protocol (W3C WebDriver; chromedriver), with
nothing but Python's own library."""

import base64
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

# What is over when the next page has come.
PASSING = ("stale element reference", "no such element")

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Driver:
    """The process that drives browsers."""

    def __init__(self):
        self.port = free_port()
        self.process = subprocess.Popen(
            ["chromedriver", f"--port={self.port}", "--silent"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                self.call("GET", "/status")
                return
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if method == "GET" or method == "DELETE" else json.dumps(body or {}).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise Failed(value["error"], value["message"].splitlines()[0]) from None

    def close(self):
        self.process.terminate()
        self.process.wait()


class Failed(Exception):
    """What the browser could not do."""


class Browser:
    """One browser, with nothing left of another."""

    def __init__(self, driver, scripts, arguments=()):
        options = {
            "args": [
                "--headless=new",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--window-size=1100,900",
                "--no-first-run",
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
                *arguments,
            ],
            "prefs": {"profile.managed_default_content_settings.javascript": 1 if scripts else 2},
        }
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = driver.call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self.driver, self.path = driver, f"/session/{made['sessionId']}"

    def call(self, method, path, body=None):
        return self.driver.call(method, self.path + path, body)

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def go(self, url):
        self.call("POST", "/url", {"url": url})

    def url(self):
        return self.call("GET", "/url")

    def title(self):
        return self.call("GET", "/title")

    def source(self):
        return self.call("GET", "/source")

    def all(self, css):
        found = self.call("POST", "/elements", {"using": "css selector", "value": css})
        return [element[ELEMENT] for element in found]

    def one(self, css):
        return self.call("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def patiently(self, attempt):
        """A click goes to another page while the next question is asked of
        this one."""
        deadline = time.monotonic() + 15
        while True:
            try:
                return attempt()
            except Failed as failed:
                if failed.args[0] not in PASSING or time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def text(self, css="body"):
        return self.patiently(lambda: self.call("GET", f"/element/{self.one(css)}/text"))

    def property(self, css, name):
        return self.patiently(lambda: self.call("GET", f"/element/{self.one(css)}/property/{name}"))

    def click(self, css):
        self.patiently(lambda: self.call("POST", f"/element/{self.one(css)}/click"))

    def follow(self, words):
        asked = {"using": "partial link text", "value": words}

        def once():
            found = self.call("POST", "/element", asked)
            self.call("POST", f"/element/{found[ELEMENT]}/click")

        self.patiently(once)

    def type(self, css, text):
        self.patiently(lambda: self.call("POST", f"/element/{self.one(css)}/value", {"text": text}))

    def cookies(self):
        return self.call("GET", "/cookie")

    def complaints(self):
        """What the browser has said of the pages since it was asked last."""
        entries = self.call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]

    def look(self, dark=False, phone=False):
        """Colours and width from now on."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])
        size = (390, 844, True) if phone else (1100, 900, False)
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=size[2],
        )

    def width(self):
        """The widths of the page and of what is in it."""
        metrics = self.devtools("Page.getLayoutMetrics")
        return metrics["cssLayoutViewport"]["clientWidth"], metrics["cssContentSize"]["width"]

    def picture(self, path):
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def close(self):
        self.call("DELETE", "")
