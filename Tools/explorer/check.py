#!/usr/bin/env python3
"""Tries the explorer as a user, a crowd and a stranger would: the built program, a real browser, bounded loops on the loopback
address. `make test-explorer` runs it. Where there is no browser its tests are skipped, and say so.

    Tools/explorer/check.py [--screenshots FOLDER] [TestCase[.test_name] …]
"""

import concurrent.futures
import http.client
import io
import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zipfile
import zlib

from devtools import Browser, find_browser

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("EXPLORER_PROGRAM", os.path.join(ROOT, ".build/release/concept-attention"))
SCREENSHOTS = None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, *arguments, runs=None):
        self.runs, self.port = runs or tempfile.mkdtemp(prefix="explorer-runs-"), free_port()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [PROGRAM, "explore", "--port", str(self.port), "--runs", self.runs, *arguments],
            stdout=self.log, stderr=self.log)
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        self.log.seek(0)
        raise RuntimeError(f"the server did not start: {self.log.read().decode()}")

    def stop(self, keeps=False):
        self.process.terminate()
        status = self.process.wait(20)
        self.log.close()
        if not keeps:
            shutil.rmtree(self.runs, ignore_errors=True)
        return status

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def memory(self):
        """Resident bytes that are not pages of files."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"RssAnon:\s+(\d+)", file.read())[1]) * 1024

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            if isinstance(body, (dict, list)):
                body, headers = json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, headers=None):
        status, _, data = self.ask(method, path, body, headers)
        return status, json.loads(data)

    def start(self, **request):
        status, record = self.json("POST", "/api/runs", {"kind": "generate", **request})
        assert status == 202, record
        return record["id"]

    def records(self):
        return {record["id"]: record for record in self.json("GET", "/api/runs")[1]}

    def finish(self, *ids, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            records = self.records()
            if all(records[id]["state"] not in ("queued", "running") for id in ids):
                return [records[id] for id in ids]
            time.sleep(0.02)
        raise AssertionError(f"not over after {seconds} s: {[records[id] for id in ids]}")

    def maps(self, id):
        """Arrays of maps.npz: name to (shape, list of numbers)."""
        arrays = {}
        with zipfile.ZipFile(os.path.join(self.runs, id, "maps.npz")) as file:
            for name in file.namelist():
                data = file.read(name)
                length = struct.unpack("<H", data[8:10])[0]
                header = eval(data[10:10 + length].decode(), {"__builtins__": {}})
                if header["descr"] != "<f4":
                    continue
                count = len(data[10 + length:]) // 4
                arrays[name.removesuffix(".npy")] = (header["shape"], struct.unpack(f"<{count}f", data[10 + length:]))
        return arrays


class WithServer(unittest.TestCase):
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.arguments)

    @classmethod
    def tearDownClass(cls):
        assert cls.server.process.poll() is None, "the server is gone"
        assert cls.server.stop() == 0

    def file(self, id, name):
        with open(os.path.join(self.server.runs, id, name), "rb") as file:
            return file.read()


class Runs(WithServer):
    def test_a_run_is_on_disk_as_generate_writes_it(self):
        id = self.server.start(prompt="a red star on grass", concepts=["star", "grass"], seed=4, steps=4)
        self.assertEqual(self.server.finish(id)[0]["state"], "done")
        with tempfile.TemporaryDirectory() as folder:
            arguments = json.loads(self.file(id, "metadata.json"))["run"]["arguments"]
            arguments = [a if not a.startswith("--output=") else f"--output={folder}" for a in arguments]
            subprocess.run([PROGRAM, *arguments], check=True, stdout=subprocess.DEVNULL)
            names = set(os.listdir(folder))
            self.assertEqual(set(os.listdir(os.path.join(self.server.runs, id))) - {"request.json"}, names)
            for name in names - {"metadata.json", "report.html"}:
                with open(os.path.join(folder, name), "rb") as file:
                    self.assertEqual(file.read(), self.file(id, name), name)

    def test_other_concepts_take_the_same_picture_and_the_maps_of_a_run_from_the_start(self):
        settings = {"prompt": "a boat on the sea", "seed": 11, "steps": 6}
        first = self.server.start(concepts=["boat", "sea"], **settings)
        again = self.server.start(concepts=["boat", "sea", "sky"], **settings)
        self.server.finish(first, again)
        messages = self.server.records()
        self.assertEqual(self.file(first, "image.png"), self.file(again, "image.png"))
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [PROGRAM, "generate", "a boat on the sea", "--seed", "11", "--steps", "6", "--concepts", "boat,sea,sky",
                 "--per-head", "--output", folder], check=True, stdout=subprocess.DEVNULL)
            with open(os.path.join(folder, "maps.npz"), "rb") as file:
                self.assertEqual(file.read(), self.file(again, "maps.npz"))
        seconds = [json.loads(self.file(id, "metadata.json"))["run"]["seconds"] for id in (first, again)]
        self.assertEqual(seconds[1]["decoding"], 0, "the picture was decoded again")
        self.assertEqual(messages[again]["state"], "done")

    def test_interventions_change_the_picture_and_are_written_down(self):
        settings = {"prompt": "a boat on the sea", "seed": 2, "steps": 4, "concepts": ["boat", "sea"]}
        plain = self.server.start(saveSites="double.1.image.value", **settings)
        self.server.finish(plain)
        other = self.server.start(**{**settings, "seed": 3})
        cases = {
            "ablate": {"ablate": ["double.*.image=0,1"]}, "cut": {"cut": ["double.*=image:text"]},
            "patch": {"patch": [{"sites": "double.1.image.value", "run": plain}], "seed": 3},
        }
        ids = {name: self.server.start(**{**settings, **change}) for name, change in cases.items()}
        for record in self.server.finish(other, *ids.values()):
            self.assertEqual(record["state"], "done", record)
        for name, id in ids.items():
            before = other if name == "patch" else plain
            self.assertNotEqual(self.file(id, "image.png"), self.file(before, "image.png"), name)
            written = json.loads(self.file(id, "metadata.json"))["run"]["interventions"]
            self.assertEqual(len(written), 1)
            self.assertTrue(written[0].startswith(name), written)
        same = self.server.start(patch=[{"sites": "double.1.image.value", "run": plain}], **settings)
        self.server.finish(same)
        self.assertEqual(self.file(same, "image.png"), self.file(plain, "image.png"), "patched with its own tensors")

    def test_a_vector_steers(self):
        values = struct.pack("<128f", *[4.0] * 128)
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (128,), }"
        header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
        vector = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values
        status, answer = self.server.json(
            "POST", "/api/uploads", vector, {"Content-Type": "application/octet-stream"})
        self.assertEqual(status, 201, answer)
        settings = {"prompt": "a star", "steps": 3, "concepts": ["star", "sky"]}
        steer = [{"sites": "double.0.image.residualOutput", "vector": answer["name"], "strength": 0.5}]
        plain, steered = self.server.start(**settings), self.server.start(steer=steer, **settings)
        self.assertEqual([r["state"] for r in self.server.finish(plain, steered)], ["done", "done"])
        self.assertNotEqual(self.file(plain, "image.png"), self.file(steered, "image.png"))
        wrong = self.server.start(steer=[{**steer[0], "sites": "double.0.image.value"}], **settings)
        record = self.server.finish(wrong)[0]
        self.assertEqual(record["state"], "failed")
        self.assertIn("shape", record["message"])

    def test_a_cancelled_run_ends_at_once_and_leaves_nothing(self):
        long = self.server.start(prompt="a star", width=1024, height=1024, steps=100)
        waiting = self.server.start(prompt="a star", steps=2, seed=77)
        while self.server.records()[long]["state"] != "running":
            time.sleep(0.02)
        time.sleep(1)
        self.server.ask("DELETE", f"/api/runs/{long}")
        before, after = self.server.records()[long], self.server.finish(long)[0]
        self.assertEqual(after["state"], "cancelled")
        self.assertLessEqual(after["done"], before["done"] + 1, "steps")
        self.assertEqual(self.server.finish(waiting)[0]["state"], "done")
        self.assertFalse(os.path.exists(os.path.join(self.server.runs, long)))
        self.assertEqual(self.server.ask("DELETE", f"/api/runs/{waiting}")[0], 409)

    def test_runs_are_there_after_a_restart(self):
        server = Server()
        id = server.start(prompt="a star", steps=2)
        server.finish(id)
        server.stop(keeps=True)
        again = Server(runs=server.runs)
        try:
            self.assertEqual(again.records()[id]["title"], "a star")
            following = again.start(prompt="a moon", steps=2)
            self.assertEqual(int(following), int(id) + 1)
            again.finish(following)
        finally:
            again.stop()

    def test_wrong_wishes_are_refused_with_the_reason(self):
        cases = [
            ({"prompt": ""}, "prompt"), ({"prompt": "a", "steps": 0}, "steps"), ({"prompt": "a", "steps": 10**6}, "steps"),
            ({"prompt": "a star", "width": 100000}, "width"), ({"prompt": "a star", "width": 129}, "129"),
            ({"prompt": "a star", "layers": "99"}, "99"), ({"prompt": "a star", "space": "outer"}, "outer"),
            ({"prompt": "a star", "concepts": ["a,b"]}, "comma"), ({"prompt": "a star", "concepts": ["c"] * 30}, "concepts"),
            ({"prompt": "a" * 5000}, "prompt"), ({"prompt": "a star", "seed": -1}, "seed"), ({"prompt": 3}, "prompt"),
            ({"prompt": "the"}, "concepts"), ({"kind": "paint", "prompt": "a"}, "kind"),
            ({"kind": "segment", "concepts": ["a"]}, "picture"), ({"kind": "segment", "picture": "../x"}, "uploaded"),
            ({"prompt": "a star", "image": "../x"}, "uploaded"), ({"prompt": "a star", "strength": 0.5}, "strength"),
            ({"prompt": "a star", "image": "x.png", "strength": 2}, "strength"), ({"kind": "segment", "picture": "x", "image": "x"}, "image"),
            ({"prompt": "a star", "ablate": ["double.0.image"]}, "ablate"), ({"prompt": "a star", "cut": ["double.0=image"]}, "cut"),
            ({"prompt": "a star", "patch": [{"sites": "double", "run": "../../etc"}]}, "kept no tensors"),
        ]
        before = set(os.listdir(self.server.runs))
        for wish, word in cases:
            status, answer = self.server.json("POST", "/api/runs", {"kind": "generate", **wish})
            self.assertIn(status, (400, 404), (wish, answer))
            self.assertIn(word, answer["error"], wish)
        self.assertEqual(set(os.listdir(self.server.runs)), before)
        late = self.server.start(prompt="a star", steps=2, ablate=["double.0.image=9"])
        record = self.server.finish(late)[0]
        self.assertEqual(record["state"], "failed")
        self.assertIn("no head 9", record["message"])


class Strangers(WithServer):
    def test_hosts_and_origins(self):
        own, wish = f"127.0.0.1:{self.server.port}", {"kind": "generate", "prompt": "a star", "steps": 1}
        cases = [
            ("GET", {"Host": "evil.example"}, 403), ("GET", {"Host": f"evil.example:{self.server.port}"}, 403),
            ("GET", {"Host": own}, 200), ("GET", {"Host": f"localhost:{self.server.port}"}, 200),
            ("GET", {"Host": own, "Origin": "http://evil.example"}, 403), ("GET", {"Host": own, "Origin": "null"}, 403),
            ("GET", {"Host": own, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ]
        for method, headers, expected in cases:
            self.assertEqual(self.server.ask(method, "/api/runs", None, headers)[0], expected, headers)
        before = len(self.server.records())
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
            self.assertEqual(self.server.ask("POST", "/api/runs", wish, headers)[0], 403, headers)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            self.assertEqual(self.server.ask("POST", "/api/runs", json.dumps(wish), {"Content-Type": kind})[0], 415, kind)
        self.assertEqual(len(self.server.records()), before)

    def test_a_request_hidden_in_the_body_of_another_is_not_one(self):
        body = json.dumps({"kind": "generate", "prompt": "hidden", "steps": 1})
        hidden = (f"POST /api/runs HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\nContent-Type: application/json\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
        for padding in (0, 5000, 70_000, 140_000, 300_000):
            for framing in (None, b"zz\r\n"):
                content = b" " * padding + hidden
                with socket.create_connection(("127.0.0.1", self.server.port), 10) as connection:
                    head = b"POST /api/runs HTTP/1.1\r\nHost: evil.example\r\nContent-Type: text/plain\r\n"
                    head += b"Transfer-Encoding: chunked\r\n\r\n" if framing else f"Content-Length: {len(content)}\r\n\r\n".encode()
                    try:
                        connection.sendall(head + (framing or b"") + content)
                        connection.settimeout(0.5)
                        while connection.recv(1 << 16):
                            pass
                    except OSError:
                        pass
        self.assertNotIn("hidden", [record["title"] for record in self.server.records().values()])

    def test_nothing_outside_of_runs_is_served(self):
        id = self.server.start(prompt="a star", steps=1)
        self.server.finish(id)
        folder = os.path.join(self.server.runs, id)
        os.symlink("/etc/passwd", os.path.join(folder, "link.json"))
        os.symlink("/etc", os.path.join(self.server.runs, "9999"))
        os.mkdir(os.path.join(folder, "inside"))
        self.assertEqual(self.server.ask("GET", f"/runs/{id}/metadata.json")[0], 200)
        for path in (
            "/runs/../../etc/passwd", f"/runs/{id}/../../../etc/passwd", f"/runs/{id}/%2e%2e/%2e%2e/etc/passwd",
            f"/runs/{id}/..%2f..%2fetc%2fpasswd", f"/runs/{id}/link.json", "/runs/9999/passwd", f"/runs/{id}/inside",
            f"/runs/{id}/.hidden", "//etc/passwd", "/runs//etc/passwd", "/uploads/x", f"/runs/{id}/metadata.json%00.png",
            "/runs/99999999999999999999/metadata.json", "/page.css/../explorer.js/..%2f", "/" + "a" * 3000):
            status, _, data = self.server.ask("GET", path)
            self.assertIn(status, (400, 404), path)
            self.assertNotIn(b"root:", data, path)

    def test_what_users_typed_stays_text(self):
        text = "<img src=x onerror=alert(1)> star </script><script>alert(2)</script>"
        id = self.server.start(prompt=text, concepts=["star", "grass"], steps=1)
        self.assertEqual(self.server.finish(id)[0]["state"], "done")
        status, headers, page = self.server.ask("GET", f"/runs/{id}/report.html")
        self.assertIn("sandbox", headers["Content-Security-Policy"])
        self.assertNotIn(b"<img src=x", page)
        self.assertNotIn(b"</script><script>alert", page)
        self.assertEqual(self.server.ask("GET", f"/runs/{id}/metadata.json")[1]["X-Content-Type-Options"], "nosniff")

    def test_the_page_is_small_and_needs_nobody_else(self):
        total = 0
        for path in ("/", "/page.css", "/viewer.js", "/explorer.css", "/explorer.js", "/compare.js", "/api/model"):
            status, _, data = self.server.ask("GET", path)
            self.assertEqual(status, 200, path)
            total += len(data)
            self.assertNotRegex(data.decode(), r"https?://", path)
        self.assertLess(total, 300_000)

    def test_files_that_are_no_pictures_are_refused(self):
        good = {"Content-Type": "image/png"}
        for data in (b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff" + os.urandom(500), os.urandom(3000), png(60000, 60000, b"")):
            self.assertEqual(self.server.ask("POST", "/api/uploads", data, good)[0], 400)
        status, answer = self.server.json("POST", "/api/uploads", b"\0" * (25 << 20), good)
        self.assertEqual(status, 413, answer)

    def test_malformed_requests_never_end_it(self):
        seeds = [
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n",
            b"POST /api/runs HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{\"kind\":\"generate\",\"x\":1}",
            b"POST /api/runs HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
            b"DELETE /api/runs/0001 HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nOrigin: http://127.0.0.1:PORT\r\n\r\n",
            b"GET /runs/0001/metadata.json?x=%zz&y HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nCookie: a=b; c\r\nRange: bytes=0-1\r\n\r\n",
        ]
        pieces = [b"\r\n", b"\0", b"%", b"%00", b"..", b"/", b"\xff\xfe", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n",
                  b"Content-Length: 9223372036854775807\r\n", b"Transfer-Encoding: gzip\r\n", b"FFFFFFFFFFFFFFFF\r\n", b"-1\r\n", b"7fffffffffffffff\r\n",
                  b"Host: \r\n", b":", b" ", b"\t", b"{" * 2000, b"[" * 3000, b"A" * 9000, b"\n", b"HTTP/9.9", b"\"", b"\\ud800", b"1e999"]
        generator = random.Random(14)
        for number in range(1200):
            data = bytearray(generator.choice(seeds).replace(b"PORT", str(self.server.port).encode()))
            for _ in range(generator.randint(1, 5)):
                place = generator.randrange(len(data) + 1)
                kind = generator.randrange(4)
                if kind == 0:
                    data[place:place] = generator.choice(pieces)
                elif kind == 1:
                    del data[place:place + generator.randint(1, 20)]
                elif kind == 2 and place < len(data):
                    data[place] = generator.randrange(256)
                else:
                    data[place:place + 4] = generator.choice(pieces)
            self.send(bytes(data))
            self.assertIsNone(self.server.process.poll(), f"gone after {bytes(data)!r}")
        values = [None, True, -1, 1e400, 2**64, 2**63, "", "x" * 100, [], {}, [[]], {"a": 1}, "\0", "\ud800", 0.5, [None], ["a"] * 40]
        names = ["kind", "prompt", "concepts", "width", "height", "steps", "seed", "samples", "noise", "method", "space", "layers",
                 "timesteps", "picture", "image", "strength", "saveSites", "ablate", "cut", "patch", "steer"]
        for name in names:
            for value in values:
                wish = {"kind": "segment" if name == "picture" else "generate", "prompt": "", "steps": 0, "samples": 0, name: value}
                status, _, _ = self.server.ask("POST", "/api/runs", json.dumps(wish), {"Content-Type": "application/json"})
                self.assertIn(status, (400, 413), wish)
        self.assertEqual(self.server.ask("GET", "/")[0], 200)

    def send(self, data):
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(2)
                connection.recv(1 << 16)
            except OSError:
                pass


class ImageToVideo(WithServer):
    arguments = ("--model", os.path.join(ROOT, "Tests/Fixtures/pipelines/cogvideox-5b-i2v/pipeline"))

    def upload(self, data):
        return self.server.json("POST", "/api/uploads", data, {"Content-Type": "image/png"})[1]["name"]

    def test_a_video_continues_an_uploaded_picture(self):
        self.assertEqual(self.server.json("GET", "/api/model")[1]["model"]["image_use"], "firstFrame")
        wish = {"kind": "generate", "prompt": "a boat", "concepts": ["boat", "sea"], "steps": 1}
        for wrong, words in (({}, "continues a picture"), ({"image": "none.png"}, "no uploaded file"),
                             ({"image": self.upload(png(48, 32)), "strength": 0.5}, "strength")):
            status, answer = self.server.json("POST", "/api/runs", {**wish, **wrong})
            self.assertIn(status, (400, 404), answer)
            self.assertIn(words, answer["error"])
        ids = [self.server.start(**wish, image=self.upload(png(width, 32))) for width in (48, 40)]
        self.assertEqual([record["state"] for record in self.server.finish(*ids)], ["done", "done"])
        first, second = [self.file(id, "frames/0000.png") for id in ids]
        self.assertNotEqual(pixels(first), pixels(second))

    def test_a_video_is_as_long_as_was_asked_for(self):
        usual = self.server.json("GET", "/api/model")[1]["model"]["frames"]
        wish = {"kind": "generate", "prompt": "a boat", "concepts": ["boat", "sea"], "steps": 1, "image": self.upload(png(48, 32))}
        status, answer = self.server.json("POST", "/api/runs", {**wish, "frames": 0})
        self.assertEqual((status, "frames 0" in answer["error"]), (400, True), answer)
        for wanted in (usual, usual + 8):
            id = self.server.start(**wish, frames=wanted)
            self.assertEqual(self.server.finish(id)[0]["state"], "done")
            self.file(id, "frames/%04d.png" % (wanted - 1))
            self.assertEqual(self.server.ask("GET", f"/runs/{id}/frames/{wanted:04}.png")[0], 404)


class Token(unittest.TestCase):
    def test_other_machines_need_a_token_and_it_is_asked_for(self):
        for arguments in (["--host", "0.0.0.0"], ["--host", "::"], ["--token", "short"], ["--port", "0"], ["--host", "nowhere", "--token", "a" * 16]):
            with tempfile.TemporaryDirectory() as runs:
                outcome = subprocess.run([PROGRAM, "explore", "--runs", runs, *arguments], capture_output=True, text=True, timeout=60)
                self.assertEqual(outcome.returncode, 2, outcome)
                self.assertIn(arguments[0], outcome.stderr)
        token = "0123456789abcdef0123"
        server = Server("--host", "0.0.0.0", "--token", token)
        try:
            for headers in ({}, {"Cookie": "explorer_token=wrong"}, {"Authorization": "Bearer 0123456789abcdef0124"}):
                self.assertEqual(server.ask("GET", "/api/runs", None, headers)[0], 401, headers)
            self.assertEqual(server.ask("GET", "/api/runs", None, {"Authorization": f"Bearer {token}"})[0], 200)
            status, headers, _ = server.ask("GET", f"/?token={token}")
            self.assertEqual((status, headers["Location"]), (303, "/"))
            self.assertIn("SameSite=Strict", headers["Set-Cookie"])
            cookie = headers["Set-Cookie"].split(";")[0]
            self.assertEqual(server.ask("GET", "/api/runs", None, {"Cookie": cookie})[0], 200)
        finally:
            server.stop()


class Crowd(WithServer):
    def test_fifty_browsers_at_once(self):
        count, news, stop = 50, [[] for _ in range(50)], threading.Event()

        def listen(number):
            with socket.create_connection(("127.0.0.1", self.server.port), 60) as connection:
                connection.sendall(f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\n\r\n".encode())
                connection.settimeout(0.5)
                while not stop.is_set():
                    try:
                        news[number].append(connection.recv(1 << 16))
                    except TimeoutError:
                        pass

        listeners = [threading.Thread(target=listen, args=(i,)) for i in range(count)]
        for listener in listeners:
            listener.start()

        def visit(number):
            answers = [self.server.ask("GET", path)[0] for path in ("/", "/page.css", "/viewer.js", "/explorer.js", "/api/model", "/api/runs")]
            status, record = self.server.json("POST", "/api/runs", {
                "kind": "generate", "prompt": f"a star number {number}", "concepts": ["star", "sky"], "steps": 1, "seed": number})
            return answers, status, record

        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            visits = list(pool.map(visit, range(count)))
        self.assertTrue(all(answers == [200] * 6 and status == 202 for answers, status, _ in visits), visits)
        ids = [record["id"] for _, _, record in visits]
        self.assertEqual(len(set(ids)), count)
        for record in self.server.finish(*ids, seconds=240):
            self.assertEqual(record["state"], "done", record)
        times = [os.stat(os.path.join(self.server.runs, id, "metadata.json")).st_mtime_ns for id in sorted(ids)]
        self.assertEqual(times, sorted(times), "the order of the queue")
        for (_, _, record), number in zip(visits, range(count)):
            with open(os.path.join(self.server.runs, record["id"], "metadata.json")) as file:
                self.assertEqual(json.load(file)["run"]["seed"], number)
        time.sleep(1)
        stop.set()
        for listener in listeners:
            listener.join()
        for heard in news:
            text = b"".join(heard).decode()
            for id in ids:
                self.assertRegex(text, rf'"state":"done"[^\n]*"id":"{id}"|"id":"{id}"[^\n]*"state":"done"')

    def test_a_full_queue_says_so(self):
        long = self.server.start(prompt="a star", width=768, height=768, steps=100)
        ids, status = [], 202
        while status == 202 and len(ids) < 200:
            status, answer = self.server.json("POST", "/api/runs", {"kind": "generate", "prompt": "a star", "steps": 1})
            if status == 202:
                ids.append(answer["id"])
        self.assertEqual((status, len(ids)), (429, 64))
        self.assertIn("waiting", answer["error"])
        for id in ids + [long]:
            self.server.ask("DELETE", f"/api/runs/{id}")
        self.assertEqual({record["state"] for record in self.server.finish(long, *ids)}, {"cancelled"})

    def test_memory_is_flat_over_two_hundred_runs(self):
        def least(count, seed):
            """Of `count` runs, the least memory after each twenty: a single reading is some 10 MB off."""
            readings = []
            for start in range(0, count, 20):
                ids = [self.server.start(prompt="a boat on the sea", steps=2, seed=seed + start + i) for i in range(20)]
                for record in self.server.finish(*ids):
                    self.assertEqual(record["state"], "done", record)
                readings.append(self.server.memory)
            return min(readings)
        least(20, 1000)
        before = least(100, 2000)
        least(100, 5000)
        after = least(100, 9000)
        print(f"memory in runs 20 to 120 {before / 1e6:.1f} MB, in 220 to 320 {after / 1e6:.1f} MB", file=sys.stderr)
        # It grew by up to 18 MB where nothing is known to leak; a picture of f32 per run would be 40 MB.
        self.assertLess(after - before, 30e6)


def png(width, height, rows=None):
    """A picture in red, green and blue; only its header where rows are empty."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    if rows is None:
        rows = b"".join(b"\0" + b"".join(bytes([x * 255 // width, y * 255 // height, 90]) for x in range(width)) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def pixels(data):
    """What a PNG file has between its header and its texts, still packed."""
    packed, at = b"", 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        packed += data[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return packed


@unittest.skipUnless(find_browser(), "no browser: neither chromium nor google-chrome is installed")
class InTheBrowser(WithServer):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Browser(find_browser())
        # Whatever is loaded first is loaded once; a user's first click is not.
        cls.server.finish(cls.server.start(prompt="a star", steps=2))

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        super().tearDownClass()

    def setUp(self):
        self.browser.problems.clear()
        self.page = self.browser.page()
        self.page.open(self.server.address)
        self.page.wait("document.documentElement.dataset.ready")

    def tearDown(self):
        if SCREENSHOTS:
            self.page.screenshot(os.path.join(SCREENSHOTS, self._testMethodName + ".png"), whole=True)
        self.page.close()

    def shown(self):
        return self.page.wait("document.querySelector('#view').dataset.run")

    def go(self, prompt, **fields):
        self.page.fill("#prompt", prompt)
        for name, value in fields.items():
            self.page.fill("#" + name.replace("_", "-"), str(value))
        before = self.page.run("document.querySelector('#view').dataset.run || ''")
        self.page.click("#go")
        id = self.page.wait(f"(r => r && r !== {json.dumps(before)} && r)(document.querySelector('#view').dataset.run)", 60)
        self.page.wait("[...document.querySelectorAll('#view .stage img')].every(i => i.complete && i.naturalWidth)")
        return id

    def values(self):
        return {name: value for name, value in self.page.run(
            "[...document.querySelectorAll('.bars li')].map(i => [i.dataset.concept, Number(i.dataset.value)])")}

    def test_type_a_prompt_wait_hover_and_read_the_values_of_the_file(self):
        start = time.monotonic()
        id = self.go("a red boat on the sea under a yellow sun", seed=5)
        seconds = time.monotonic() - start
        print(f"from the click to picture and maps {seconds:.2f} s", file=sys.stderr)
        maps = self.server.maps(id)
        shape, average = maps["average"]
        for right, down in ((0.1, 0.1), (0.52, 0.55), (0.9, 0.3)):
            self.page.hover(".stage[data-concept=sea]", right, down)
            row, column = int(down * shape[1]), int(right * shape[2])
            self.assertEqual(self.page.run("document.querySelector('.panel h2').textContent"), f"row {row}, column {column}")
            expected = [average[(c * shape[1] + row) * shape[2] + column] for c in range(shape[0])]
            self.assertEqual(list(self.values().values()), expected)
            self.assertEqual(list(self.values()), ["boat", "sea", "sun"])
            top = expected.index(max(expected))
            votes = dict(self.page.run("[...document.querySelectorAll('.votes li')].map(i => [i.dataset.name, Number(i.dataset.value)])"))
            self.assertEqual(set(votes), set(maps) - {"average"})
            for name, value in votes.items():
                self.assertEqual(value, maps[name][1][(top * shape[1] + row) * shape[2] + column], name)
        self.assertEqual(self.browser.problems, [])

    def test_a_clicked_region_is_ranked_by_its_mean(self):
        id = self.go("a red boat on the sea", seed=6)
        self.page.click(".stage[data-concept=boat]", 0.05, 0.05)
        (count, height, width), average = self.server.maps(id)["average"]
        size = height * width
        owner = [max(range(count), key=lambda c: average[c * size + i]) for i in range(size)]
        region, waiting = {0}, [0]
        while waiting:
            at = waiting.pop()
            for other in ([at - width, at + width] + ([at - 1] if at % width else []) + ([at + 1] if at % width < width - 1 else [])):
                if 0 <= other < size and other not in region and owner[other] == owner[0]:
                    region.add(other), waiting.append(other)
        self.assertIn(f"region of {len(region)} token", self.page.run("document.querySelector('.panel h2').textContent"))
        found = list(self.values().values())
        self.assertEqual(found, sorted(found, reverse=True))
        means = sorted((sum(average[c * size + i] for i in region) / len(region) for c in range(count)), reverse=True)
        for value, mean in zip(found, means):
            self.assertAlmostEqual(value, mean, places=5)

    def test_the_keyboard_is_enough(self):
        self.go("a star on grass", steps=3)
        self.page.run("document.querySelector('.stage[data-concept=star]').focus()")
        for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
            self.page.key(key)
        self.assertEqual(self.page.run("document.querySelector('.panel h2').textContent"), "row 1, column 2")
        self.assertIn("row 1, column 2: star", self.page.run("document.querySelector('.spoken').textContent"))
        self.page.key("Enter")
        self.assertIn("region of", self.page.run("document.querySelector('.panel h2').textContent"))
        self.page.key("Escape")
        self.assertEqual(self.page.run("document.querySelector('.panel h2').textContent"), "row 1, column 2")
        unnamed = self.page.run("""[...document.querySelectorAll('button, input, select, textarea, a, [tabindex]')].filter(e =>
            e.offsetParent && !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length || e.title)).map(e => e.outerHTML)""")
        self.assertEqual(unnamed, [])

    def test_a_concept_is_added_without_making_the_picture_again(self):
        self.page.fill("#concept", "boat, sea")
        self.page.click("#add")
        first = self.go("a boat on the sea", seed=8)
        self.page.fill("#concept", "sky")
        self.page.click("#add")
        second = self.go("a boat on the sea", seed=8)
        self.assertEqual(self.page.run("[...document.querySelectorAll('.bars, .stage[data-concept]')].map(e => e.dataset.concept)")[:3], ["boat", "sea", "sky"])
        with open(os.path.join(self.server.runs, second, "metadata.json")) as file:
            run = json.load(file)["run"]
        self.assertEqual((run["concepts"], run["seconds"]["decoding"]), (["boat", "sea", "sky"], 0))
        for name in ("image.png",):
            with open(os.path.join(self.server.runs, first, name), "rb") as a, open(os.path.join(self.server.runs, second, name), "rb") as b:
                self.assertEqual(a.read(), b.read())
        self.page.click("#chips li:nth-child(1) button")
        third = self.go("a boat on the sea", seed=8)
        self.assertEqual(self.page.run("[...document.querySelectorAll('.cards .stage[data-concept]')].map(e => e.dataset.concept)"), ["sea", "sky", "who owns what"])
        self.assertNotEqual(third, second)

    def test_pictures_and_maps_grow_and_a_run_is_cancelled(self):
        for name, value in (("prompt", "a star on grass"), ("steps", "120"), ("width", "512"), ("height", "512")):
            self.page.fill("#" + name, value)
        self.page.click("#go")
        self.page.wait("document.querySelector('#live canvas') && document.querySelector('#live img').naturalWidth")
        self.assertEqual(self.page.run("[...document.querySelectorAll('#live figcaption')].map(e => e.textContent)"), ["so far", "star", "grass"])
        source = self.page.run("document.querySelector('#live img').src")
        self.page.wait(f"document.querySelector('#live img').src !== {json.dumps(source)}")
        if SCREENSHOTS:
            self.page.screenshot(os.path.join(SCREENSHOTS, "live.png"))
        place = self.page.run("location.pathname")
        self.page.open(self.server.address + place)  # a reload
        self.page.wait("document.querySelector('#live canvas')")
        self.page.click("#cancel")
        self.page.wait("document.querySelector('#state').textContent.includes('was cancelled')", 5)

    def test_a_run_survives_a_reload_at_its_address(self):
        id = self.go("a moon over the sea", steps=3)
        self.assertEqual(self.page.run("location.pathname"), f"/runs/{id}/")
        self.page.open(f"{self.server.address}/runs/{id}/")
        self.assertEqual(self.shown(), id)
        self.page.click("#take")
        self.page.wait("document.querySelector('#prompt').value === 'a moon over the sea'")
        self.assertEqual(self.page.run("document.querySelector('#steps').value"), "3")

    def test_an_uploaded_picture_is_segmented(self):
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            file.write(png(96, 64))
            file.flush()
            self.page.click("[value=segment]")
            self.page.attach("#upload", file.name)
            self.page.fill("#concept", "sea, sky")
            id = self.go("a boat", samples=2)
        with open(os.path.join(self.server.runs, id, "metadata.json")) as file:
            run = json.load(file)["run"]
        self.assertEqual((run["command"], run["plan"]["samples"], run["concepts"]), ("segment", 2, ["sea", "sky"]))
        self.assertEqual(self.page.run("document.querySelector('.stage img').naturalWidth"), 96)

    def test_a_picture_to_start_from_is_taken_along(self):
        plain = self.go("a boat on the sea", seed=9, steps=4)
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            file.write(png(96, 64))
            file.flush()
            self.page.attach("#start", file.name)
            first = self.go("a boat on the sea", seed=9, steps=4, replaced=0.5)
        runs = {}
        self.page.click("#take")
        self.page.wait("!document.querySelector('#kept-start').hidden && document.querySelector('#replaced').value === '0.5'")
        again = self.go("a boat on the sea", seed=9, steps=4)
        self.page.click("#drop-start")
        without = self.go("a boat on the sea", seed=9, steps=4)
        for id in (plain, first, again, without):
            with open(os.path.join(self.server.runs, id, "image.png"), "rb") as image, open(os.path.join(self.server.runs, id, "metadata.json")) as file:
                runs[id] = (pixels(image.read()), json.load(file)["run"])
        self.assertEqual(runs[first][1]["plan"]["strength"], 0.5)
        self.assertTrue(runs[first][1]["starting_image"].endswith(".png"))
        self.assertEqual(runs[again][0], runs[first][0])
        self.assertNotEqual(runs[first][0], runs[plain][0])
        self.assertEqual(runs[without][0], runs[plain][0])

    def test_an_intervention_beside_the_run_without_it(self):
        plain = self.go("a boat on the sea", seed=9, steps=4)
        self.page.run("document.querySelector('#what-if').open = true")
        self.page.run("(e => { e.value = 'cut'; e.onchange(); })(document.querySelector('#intervention'))")
        self.page.click("#intervene")
        changed = self.go("a boat on the sea", seed=9, steps=4)
        self.page.run(f"(e => {{ e.value = {json.dumps(plain)}; e.onchange(); }})(document.querySelector('#other'))")
        self.page.wait("document.querySelector('#comparison h3:last-of-type')")
        text = self.page.wait("(t => t.includes('interventions') && t)(document.querySelector('#comparison').innerText)")
        self.assertIn("cut double.*=image:text", text)
        self.assertGreater(self.page.run("Number(document.querySelector('[data-changed]').dataset.changed)"), 0)
        self.assertGreater(self.page.run("Number(document.querySelector('[data-reach]').dataset.reach)"), 0)
        self.assertEqual(self.page.run("location.search"), f"?with={plain}")
        self.assertNotEqual(plain, changed)
        self.assertEqual(self.browser.problems, [])

    def test_errors_are_said_beside_the_button(self):
        for fields, word in (({"prompt": ""}, "prompt"), ({"prompt": "a star", "steps": "many"}, "number"),
                             ({"prompt": "a star", "steps": "3", "width": "99"}, "99")):
            for name, value in fields.items():
                self.page.fill("#" + name, value)
            self.page.click("#go")
            self.page.wait(f"document.querySelector('#complaint').textContent.includes({json.dumps(word)})")

    def test_what_users_typed_is_shown_as_text(self):
        text = "<img src=x onerror='window.bad=1'> star"
        self.page.fill("#concept", "star")
        self.go(text, steps=1)
        self.page.fill("#concept", "<b onclick=x>star</b>")
        self.page.click("#go")
        self.page.wait("document.querySelector('#state').textContent.includes('<b onclick=x>star</b>')")
        self.assertIsNone(self.page.run("window.bad ?? null"))
        self.assertIn(text, self.page.run("document.querySelector('#gallery').innerText"))
        self.assertEqual(self.page.run("document.querySelectorAll('[onclick], img[src=x]').length"), 0)

    def test_copied_command_lines_and_code_are_what_was_run(self):
        id = self.go("a star's \"light\" on grass", steps=2)
        self.page.click("#copy-command")
        command = self.page.wait("document.querySelector('#copy-command').dataset.copied")
        words = subprocess.run(["sh", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True).stdout.split(b"\0")[:-1]
        with open(os.path.join(self.server.runs, id, "metadata.json")) as file:
            self.assertEqual([word.decode() for word in words[1:]], json.load(file)["run"]["arguments"])
        self.page.click("#copy-swift")
        code = self.page.wait("document.querySelector('#copy-swift').dataset.copied")
        self.assertIn(r'GenerationRequest("a star\'s \"light\" on grass")'.replace("\\'", "'"), code)

    def test_it_fits_four_hundred_pixels_in_the_dark(self):
        self.go("a star on grass", steps=2)
        self.page.resize(400, 800, dark=True)
        self.assertLessEqual(self.page.run("document.documentElement.scrollWidth"), 400)
        self.assertEqual(self.page.run("getComputedStyle(document.body).backgroundColor"), "rgb(18, 18, 22)")

    def test_the_report_is_the_same_view(self):
        id = self.go("a star on grass", steps=2)
        self.page.open(f"file://{self.server.runs}/{id}/report.html")
        self.page.wait("document.querySelectorAll('.cards figure').length === 4")
        self.page.wait("[...document.querySelectorAll('.stage img')].every(i => i.complete && i.naturalWidth)")
        self.page.hover(".stage[data-concept=grass]", 0.3, 0.6)
        shape, average = self.server.maps(id)["average"]
        place = int(0.6 * shape[1]) * shape[2] + int(0.3 * shape[2])
        self.assertEqual(list(self.values().values()), [average[c * shape[1] * shape[2] + place] for c in range(shape[0])])
        self.assertEqual(self.browser.problems, [])


if __name__ == "__main__":
    if not os.path.exists(PROGRAM):
        sys.exit(f"{PROGRAM} is not built: swift build -c release --product concept-attention")
    if "--screenshots" in sys.argv:
        at = sys.argv.index("--screenshots")
        SCREENSHOTS = os.path.abspath(sys.argv[at + 1])
        os.makedirs(SCREENSHOTS, exist_ok=True)
        del sys.argv[at:at + 2]
    unittest.main(verbosity=2)
