"""The inbox in Chromium, against a broker that pretends: what a human does,
without a script and at every size; and what pages elsewhere try."""

import http.server
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
from browser import Browser, Driver, Failed  # noqa: E402

PROGRAMS = sys.argv[1]
PICTURES = sys.argv[2] if len(sys.argv) > 2 else None
CANARY = "canary-4f1d9b-Ä&=+%"


class Lines:
    """A process and the lines that it prints."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines, self.said = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.hear, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def hear(self):
        for line in self.process.stderr:
            self.said.append(line)

    def next(self):
        try:
            return self.lines.get(timeout=30)
        except queue.Empty:
            raise AssertionError(f"no line came; it said {''.join(self.said)}") from None

    def none(self):
        time.sleep(0.3)
        return self.lines.empty()

    def close(self):
        self.process.terminate()
        self.process.wait()


class World:
    """A broker, an inbox, and the driver of browsers."""

    def __init__(self, *options):
        self.folder = tempfile.TemporaryDirectory()
        self.broker = Lines(os.path.join(PROGRAMS, "examples/broker"), self.folder.name)
        assert self.broker.next() == "ready"
        self.start(*options)

    def start(self, *options):
        program = os.path.join(PROGRAMS, "strongroom-inbox")
        self.inbox = Lines(program, "--state", self.folder.name, *options)
        self.url, self.code = self.inbox.next().split("  one-time code ")

    def log_in(self, browser, code=None):
        browser.go(self.url)
        assert browser.url() == self.url + "login", browser.url()
        browser.type("input[name=code]", code or self.code)
        browser.click("form button")

    def close(self):
        self.inbox.close()
        self.broker.close()
        self.folder.cleanup()


def check(condition, *about):
    if not condition:
        raise AssertionError(*about)


def see(browser, words, css="body"):
    """Waits for words: the page that has them may be on its way."""
    deadline = time.monotonic() + 15
    while words not in browser.text(css):
        check(time.monotonic() < deadline, words, browser.url(), browser.text(css))
        time.sleep(0.05)


def pictures(browser, name):
    """Looks at a page in every form: nothing may stand out at the side."""
    for dark in (False, True):
        for phone in (False, True):
            browser.look(dark, phone)
            page, content = browser.width()
            check(content <= page, f"{name}: {content} wide on a page of {page}")
            if PICTURES:
                form = f"{'phone' if phone else 'wide'}-{'dark' if dark else 'light'}"
                browser.picture(os.path.join(PICTURES, f"{name}-{form}.png"))
    browser.look()


def quiet(browser):
    """No style was refused, nothing was looked for elsewhere."""
    complaints = [line for line in browser.complaints() if "favicon" not in line]
    check(not complaints, complaints)


def without_scripts(driver):
    """Everything a human does, with scripts switched off."""
    world = World()
    browser = Browser(driver, scripts=False)
    try:
        browser.go("data:text/html,<title>off</title><script>document.title='on'</script>")
        check(browser.title() == "off", "scripts run")

        browser.go(world.url)
        pictures(browser, "login")
        browser.type("input[name=code]", "wrong")
        browser.click("form button")
        see(browser, "That is not the code")
        pictures(browser, "login-wrong")
        world.log_in(browser)
        see(browser, "Waiting for a decision")
        check(browser.url() == world.url, browser.url())
        # A refusal is a complaint of the browser, too: the wrong code.
        browser.complaints()
        cookie = [c for c in browser.cookies() if "try" not in c["name"]]
        check(len(cookie) == 1, cookie)
        cookie = cookie[0]
        check(cookie["name"] == "__Host-strongroom" and cookie["secure"], cookie)
        check(cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["path"] == "/", cookie)

        see(browser, "Requests (3)", "nav")
        see(browser, "tier container", "footer")
        see(browser, "git push origin main")
        pictures(browser, "requests")
        quiet(browser)

        # A list looks again by itself, and stays logged in.
        world_before = browser.property("footer", "textContent")
        check("session" in world_before)
        mark = browser.one("h1")
        deadline = time.monotonic() + 25
        while True:
            try:
                browser.call("GET", f"/element/{mark}/text")
            except Failed:
                break
            check(time.monotonic() < deadline, "the list has not looked again")
            time.sleep(0.5)
        see(browser, "Waiting for a decision")

        # Approve.
        browser.click("a[href='/requests/7']")
        see(browser, "run a command", "h1")
        see(browser, "/usr/bin/git")
        see(browser, "GITHUB_TOKEN")
        pictures(browser, "request")
        quiet(browser)
        browser.type("textarea[name=reason]", "looks right")
        browser.click("button[value=approve]")
        check(world.broker.next() == "decided 7 approve by operator: looks right")
        see(browser, "Approved.", ".notice")
        pictures(browser, "approved")

        # Everything that is somebody else's is only text.
        browser.click("a[href='/requests/8']")
        see(browser, "Request 8")
        text = browser.text()
        for part in [
            "p\\u{430}ypal",
            "\\x1b[2J",
            '"><img src=x onerror=alert(1)>'.replace('"', '\\"'),
            "\\xff",
            "<script>document.title='owned'</script>",
            "\\u{202e}",
            "which nobody has checked",
            "0 of 2 approvals",
        ]:
            check(part in text, part, text)
        check(browser.title() == "Request 8 - Strongroom")
        check(not browser.all("main img") and not browser.all("script"))
        pictures(browser, "nasty")
        quiet(browser)
        browser.type("textarea[name=reason]", "what is this?")
        browser.click("button[value=deny]")
        check(world.broker.next() == "decided 8 deny by operator: what is this?")
        see(browser, "Denied.", ".notice")

        browser.click("a[href='/requests/9']")
        pictures(browser, "question")
        browser.click("button[value=approve]")
        check(world.broker.next() == "decided 9 approve by operator: -")
        see(browser, "Nothing waits")
        pictures(browser, "empty")

        # Enter a credential.
        browser.follow("Credentials")
        see(browser, "the migration needs it <script>alert(1)</script>")
        pictures(browser, "credentials")
        quiet(browser)
        browser.follow("Enter it")
        pictures(browser, "credential")
        check(browser.property("input[name=value]", "type") == "password")
        check(browser.property("input[name=value]", "autocomplete") == "off")
        browser.type("input[name=value]", "short7")
        browser.click("main form > button")
        see(browser, "SR612")
        check(browser.property("input[name=value]", "value") == "")
        pictures(browser, "credential-refused")
        browser.complaints()
        browser.type("input[name=value]", CANARY)
        browser.click("main form > button")
        check(world.broker.next() == f"kept DB_PASSWORD: {CANARY}")
        see(browser, "The value is with the broker", ".notice")
        check(CANARY not in browser.source() and CANARY not in browser.url())
        browser.go(world.url + "credentials/DB_PASSWORD")
        browser.click("summary")
        browser.type("textarea[name=lines]", "-----BEGIN-----\nline\n-----END-----\n")
        pictures(browser, "credential-lines")
        browser.click("main form > button")
        kept = [world.broker.next() for _ in range(3)]
        check(kept == ["kept DB_PASSWORD: -----BEGIN-----", "line", "-----END-----"], kept)
        check(world.broker.next() == "")

        # The log.
        browser.follow("Audit")
        see(browser, "alice")
        see(browser, "<script>alert(1)</script>")
        pictures(browser, "audit")
        quiet(browser)

        # The kill switch asks first.
        browser.follow("Kill switch")
        check(world.broker.none(), "looking at it killed")
        pictures(browser, "kill")
        quiet(browser)
        browser.click("button.bad")
        check(world.broker.next() == "killed by operator")
        see(browser, "were ended", ".notice")

        browser.go(world.url + "requests/77")
        pictures(browser, "unknown")
        browser.go(world.url + "nowhere")
        pictures(browser, "refused")
        browser.follow("To the inbox")
        see(browser, "Waiting for a decision")
        browser.click("footer button")
        see(browser, "One-time code")
        check(browser.url() == world.url + "login")
        browser.go(world.url)
        check(browser.url() == world.url + "login", "logged out")
        check(CANARY not in "".join(world.inbox.said))
    finally:
        browser.close()
        world.close()


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A page elsewhere, on another port of loopback."""

    pages, cookies = {}, []

    def do_GET(self):
        Elsewhere.cookies.append(self.headers.get("Cookie"))
        body = self.pages.get(self.path, "<title>elsewhere</title>").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def pages_elsewhere(driver):
    """What pages elsewhere can make the browser of somebody do who is logged
    in, with scripts."""
    world = World()
    port = int(world.url.rstrip("/").rsplit(":", 1)[1])
    address = world.url.split("//")[1].split(":")[0]
    rules = f"--host-resolver-rules=MAP rebound.example {address}, MAP elsewhere.example 127.0.0.1"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # The same address as the inbox's, another port: the same site.
    neighbour = http.server.ThreadingHTTPServer((address, 0), Elsewhere)
    threading.Thread(target=neighbour.serve_forever, daemon=True).start()
    there = f"http://elsewhere.example:{server.server_address[1]}"
    near = f"http://{address}:{neighbour.server_address[1]}"
    browser = Browser(driver, scripts=True, arguments=[rules])
    try:
        world.log_in(browser)
        browser.click("a[href='/requests/7']")
        token = browser.property("input[name=token]", "value")
        digest = browser.property("input[name=digest]", "value")
        fields = f"<input name=token value={token}><input name=digest value={digest}><input name=verdict value=approve>"
        # With everything right but where it comes from.
        form = f"<form id=f method=post action='{world.url}requests/7'>{fields}</form><script>f.submit()</script>"
        Elsewhere.pages = {
            "/form": f"<title>x</title>{form}",
            "/bare": f"<meta name=referrer content=no-referrer>{form}",
            "/sandbox": f"<iframe sandbox='allow-forms allow-scripts allow-top-navigation' srcdoc=\"{form}\"></iframe>",
            "/frame": f"<title>framed</title><iframe src='{world.url}requests/7' width=900 height=900></iframe>",
            "/link": f"<a href='{world.url}kill'>go</a>",
            "/fetch": f"""<title>waiting</title><script>
                fetch('{world.url}requests/7', {{method: 'POST', mode: 'no-cors', credentials: 'include',
                    headers: {{'Content-Type': 'application/x-www-form-urlencoded'}},
                    body: 'token={token}&digest={digest}&verdict=approve'}})
                .catch(() => 0)
                .then(() => fetch('{world.url}', {{credentials: 'include'}}))
                .then(r => r.text()).then(t => document.title = 'read', () => document.title = 'not read')
                </script>""",
        }
        for place in (there, near):
            for page in ("/form", "/bare"):
                browser.go(place + page)
                see(browser, "Refused")
            browser.go(place + "/sandbox")
            browser.go(place + "/fetch")
            deadline = time.monotonic() + 10
            while browser.title() == "waiting":
                check(time.monotonic() < deadline)
                time.sleep(0.1)
            check(browser.title() == "not read", browser.title())
            browser.go(place + "/frame")
            time.sleep(0.5)
            browser.call("POST", "/frame", {"id": 0})
            check("Approve" not in browser.source(), "it is shown in a frame")
            browser.call("POST", "/frame", {"id": None})
            browser.go(place + "/link")
            browser.click("a")
            see(browser, "Refused")
        check(world.broker.none(), "something was decided")

        # Under another name that leads to it.
        browser.go(f"http://rebound.example:{port}/")
        see(browser, "the Host is not this inbox")

        # Cookies know no ports. The inbox has an address of its own, so that
        # whatever serves pages at 127.0.0.1 is not sent its cookie.
        Elsewhere.cookies.clear()
        browser.go(f"http://127.0.0.1:{server.server_address[1]}/")
        check(Elsewhere.cookies[0] is None, "the cookie went elsewhere")

        # And still logged in: nothing was taken away either.
        browser.go(world.url)
        see(browser, "Requests (3)")
        for reason in ("another site's page made it", "the Host is not this inbox"):
            check(any(reason in line for line in world.inbox.said), reason, world.inbox.said)
        check(not any(token in line or digest in line for line in world.inbox.said))

        # At 127.0.0.1 and at localhost a firm cookie is kept as well.
        for name in ("127.0.0.1", "localhost"):
            world.inbox.close()
            world.start("--listen", "127.0.0.1:0")
            world.url = world.url.replace("127.0.0.1", name)
            world.log_in(browser)
            see(browser, "Requests (3)")
            names = [cookie["name"] for cookie in browser.cookies()]
            check("__Host-strongroom" in names, names)
    finally:
        browser.close()
        server.shutdown()
        neighbour.shutdown()
        world.close()


def main():
    if PICTURES:
        os.makedirs(PICTURES, exist_ok=True)
    driver = Driver()
    try:
        for test in (without_scripts, pages_elsewhere):
            test(driver)
            print(f"test-inbox: {test.__name__.replace('_', ' ')}: ok", flush=True)
    finally:
        driver.close()
    print("test-inbox: 2 run, 0 skipped")


if __name__ == "__main__":
    main()
