"""A model with behaviour controlled by tests: `serve` runs it in the tests' serving containers.

Its behaviour comes from the environment (MODE, NAME) and from the request itself. TURNS=error|slow|refuse is the mode
from its tenth request on.
"""

import itertools
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODE = os.environ.get("MODE", "echo")
TURNS = os.environ.get("TURNS")
REQUESTS = itertools.count(1)
SICK = threading.Event()
if MODE == "sick":
    SICK.set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer

    def log_message(self, *arguments: object) -> None:
        pass

    def answer(self, status: int, body: bytes, content_type: str = "text/csv") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        attributes = self.headers.get("X-Amzn-SageMaker-Custom-Attributes")
        if attributes:
            self.send_header("X-Amzn-SageMaker-Custom-Attributes", attributes)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == "/execution-parameters" and "PARAMETERS" in os.environ:
            self.answer(200, os.environ["PARAMETERS"].encode())
        else:
            self.answer(200 if self.path == "/ping" and not SICK.is_set() else 404, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sys.stdout.write(f"request of {len(body.splitlines())} lines\n")  # in one piece, as there are several threads
        sys.stdout.flush()
        if body.startswith(b"die"):
            os._exit(3)
        if body.startswith(b"sicken"):
            SICK.set()
        mode = TURNS if TURNS and next(REQUESTS) >= 10 else MODE
        if mode == "error" or body.startswith(b"500"):
            self.answer(500, b"boom")
        elif mode == "refuse" or body.startswith(b"400") or b"bad" in body:
            self.answer(400, b"column vibration: bad")
        elif mode == "slow":
            time.sleep(0.1)
            self.answer(200, body)
        elif body.startswith(b"sleep"):
            time.sleep(float(body[5:]))
            self.answer(200, b"awake")
        elif MODE == "name":
            self.answer(200, os.environ["NAME"].encode())
        elif MODE == "sum":
            self.answer(200, self.sums(body.decode()))
        else:
            self.answer(200, body, self.headers.get("Content-Type", "application/octet-stream"))

    def sums(self, body: str) -> bytes:
        """A row's sum for every line of CSV or JSON."""
        if "json" in self.headers.get("Content-Type", ""):
            answers = [json.dumps({"sum": sum(json.loads(line).values())}) for line in body.splitlines()]
        else:
            answers = [str(sum(float(cell) for cell in line.split(","))) for line in body.splitlines()]
        return "".join(f"{answer}\n" for answer in answers).encode()


if __name__ == "__main__":
    if MODE == "exit":
        sys.exit("cannot load the model")
    print("serving", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))), Handler).serve_forever()
