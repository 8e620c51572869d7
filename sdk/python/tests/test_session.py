"""The package against the real program in real sessions."""

import asyncio
import os
import shutil
import subprocess
import time
import unittest

from session import Session
from strongroom import AsyncStrongroom, Denied, Failed, Lost, Strongroom


class Waits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.session = Session()
        cls.addClassCleanup(cls.session.close)
        cls.room = Strongroom(cls.session.command).__enter__()
        cls.addClassCleanup(cls.room.close)

    def test_a_command(self):
        done = self.room.run(["sh", "-c", "cat; echo oops >&2; exit 3"], stdin="in é\n")
        self.assertEqual((done.exit, done.stdout, done.stderr), (3, "in é\n".encode(), b"oops\n"))
        self.assertFalse(done.ok)
        self.assertTrue(done.details["receipt"]["no_new_privs"])
        done = self.room.run(["cat"], stdin=b"\x00\xff")
        self.assertEqual((done.ok, done.stdout), (True, b"\x00\xff"))
        done = self.room.run(["sleep", "9"], timeout=0.2)
        self.assertEqual((done.exit, done.code), (124, "SR201"))
        self.assertRaises(TypeError, self.room.run, "ls")

    def test_output_as_it_comes(self):
        with self.room.start(["sh", "-c", "echo a; sleep 1; echo b"]) as command:
            start, times = time.monotonic(), []
            for stream, data in command:
                times.append((stream, data, time.monotonic() - start > 0.5))
        self.assertEqual(times, [("stdout", b"a\n", False), ("stdout", b"b\n", True)])
        self.assertTrue(command.wait().ok)

    def test_input_signals_and_the_end(self):
        command = self.room.start(["cat"], keep_stdin_open=True)
        command.send("one ")
        command.send(b"two", end=True)
        self.assertEqual(command.wait().stdout, b"one two")
        command = self.room.start(["sleep", "100"])
        command.signal("TERM")
        self.assertEqual(command.wait().signal, "SIGTERM")
        with self.room.start(["sh", "-c", "echo here; sleep 100"]) as command:
            self.assertEqual(next(iter(command)), ("stdout", b"here\n"))
        self.assertEqual(command.wait().signal, "SIGKILL")

    def test_refusals(self):
        with self.assertRaises(Denied) as caught:
            self.room.run(["rm", "x"])
        self.assertEqual((caught.exception.code, caught.exception.ask), ("SR101", "no"))
        with self.assertRaises(Denied) as caught:
            self.room.run(["env", "push"], patience=0)
        self.assertEqual(caught.exception.code, "SR103")
        self.assertGreater(caught.exception.approval, 0)
        with self.assertRaises(Failed) as caught:
            self.room.explain("SR999")
        self.assertIn("no such code", str(caught.exception))
        self.assertEqual(self.room.explain("SR101")["exit"], 77)
        self.assertIn("SR101", {record.code for record in self.room.read_log(level="warning")})

    def test_files_and_credentials(self):
        written = self.room.write_file(".env", "PASSWORD=${credentials.DB_PASSWORD}\n")
        self.assertEqual((written.values, written.credentials), ("sealed", ["DB_PASSWORD"]))
        self.assertEqual(self.room.read_file(".env"), b"PASSWORD=${credentials.DB_PASSWORD}\n")
        done = self.room.run(["wc", "-c", ".env"])
        self.assertEqual(done.stdout.split()[0], str(len("PASSWORD=correct-horse-battery\n")).encode())
        self.assertFalse(self.room.run(["cat", ".env"]).ok, "not granted")
        [credential] = self.room.list_credentials()
        self.assertEqual((credential.name, credential.there, credential.file), ("DB_PASSWORD", True, True))
        with self.assertRaises(Denied) as caught:
            self.room.write_file("x", "${credentials.NO_SUCH}")
        self.assertEqual(caught.exception.spot["key"], "NO_SUCH")


class DoesNotWait(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.session = Session()
        self.addCleanup(self.session.close)
        self.room = await AsyncStrongroom(self.session.command).__aenter__()
        self.addAsyncCleanup(self.room.close)

    async def test_many_at_once(self):
        start = time.monotonic()
        runs = [self.room.run(["sh", "-c", f"sleep 0.5; echo {n}"]) for n in range(8)]
        done = await asyncio.gather(*runs)
        self.assertEqual([int(d.stdout) for d in done], list(range(8)))
        self.assertLess(time.monotonic() - start, 3)

    async def test_a_cancelled_task_ends_its_command(self):
        task = asyncio.create_task(self.room.run(["sh", "-c", "sleep 1; echo late >mark"]))
        await asyncio.sleep(0.3)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        await asyncio.sleep(1.2)
        self.assertFalse(os.path.exists(os.path.join(self.session.workspace, "mark")))
        self.assertTrue((await self.room.run(["true"])).ok)

    async def test_waiting_for_a_human_is_told_and_taken_back(self):
        asked = []
        with self.assertRaises(Denied) as caught:
            await self.room.request_approval("now?", patience=0.2, waiting=asked.append)
        self.assertEqual((caught.exception.code, asked), ("SR103", [caught.exception.approval]))

    async def test_the_end_of_the_program(self):
        task = asyncio.create_task(self.room.run(["sleep", "100"]))
        await asyncio.sleep(0.3)
        self.room._process.terminate()
        with self.assertRaises(Lost):
            await task
        with self.assertRaises(Lost):
            await self.room.run(["true"])


class Ends(unittest.TestCase):
    def test_no_session(self):
        program = os.path.join(os.environ["STRONGROOM_BIN"], "strongroom")
        for command in ([program, "api"], ["echo", "hello"], ["true"]):
            with self.assertRaises(Lost):
                Strongroom(command).__enter__()

    def test_an_agent_in_its_jail(self):
        """The agent is Python and starts `strongroom api` itself."""
        python = "/usr/bin/python3"
        if not os.path.exists(python):
            self.skipTest(f"no {python}")
        code = "import strongroom\nwith strongroom.Strongroom() as r: print(r.run(['id', '-u']).stdout)"
        session = Session(agent=(python, "-c", code))
        self.addCleanup(session.close)
        source = os.path.join(os.path.dirname(__file__), "../src/strongroom")
        shutil.copytree(source, os.path.join(session.workspace, "strongroom"))
        done = subprocess.run(session.command, cwd=session.workspace, capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout[:2]), (0, b"b'"), done.stderr)


if __name__ == "__main__":
    unittest.main()
