"""Who may ask NNI's servers and TensorBoard, and what their words can do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import nni
import nni_node
import pytest

from trials.errors import ParametersError
from trials.nni_host.parameters import meant, plain_json
from trials.nni_host.tensorboard_access import guarded

NODE = Path(nni_node.__path__[0]) / "node"
PRELOAD = Path(__file__).parents[3] / "trials" / "nni_host" / "nni_manager.cjs"

# Headers of a request, where the server listens beside loopback, further names, and whether it is answered.
REQUESTS = [
    ({"Host": "127.0.0.1:8080"}, "127.0.0.1", "", True),
    ({"Host": "localhost:8080"}, "127.0.0.1", "", True),
    ({"Host": "LocalHost:9000"}, "127.0.0.1", "", True),  # ssh -L 9000:localhost:8080
    ({"Host": "[::1]:8080"}, "127.0.0.1", "", True),
    ({"Host": "evil.example:8080"}, "127.0.0.1", "", False),
    ({"Host": "localhost.evil.example"}, "127.0.0.1", "", False),
    ({"Host": "127.0.0.1.evil.example"}, "127.0.0.1", "", False),
    ({"Host": "evil.example@localhost"}, "127.0.0.1", "", False),
    ({"Host": ""}, "127.0.0.1", "", False),
    ({"Host": "192.0.2.7:8080"}, "127.0.0.1", "", False),
    ({"Host": "192.0.2.7:8080"}, "192.0.2.7", "", True),
    ({"Host": "198.51.100.1"}, "0.0.0.0", "", True),  # behind a router that translates addresses
    ({"Host": "evil.example"}, "0.0.0.0", "", False),
    ({"Host": "nas.example"}, "127.0.0.1", "other.example nas.example", True),
    ({"Host": "127.0.0.1:80", "Origin": "http://127.0.0.1"}, "127.0.0.1", "", True),
    ({"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:8080"}, "127.0.0.1", "", True),
    ({"Host": "localhost:9000", "Origin": "http://localhost:9000"}, "127.0.0.1", "", True),
    ({"Host": "127.0.0.1:8080", "Origin": "http://evil.example"}, "127.0.0.1", "", False),
    ({"Host": "127.0.0.1:8080", "Origin": "http://127.0.0.1:3000"}, "127.0.0.1", "", False),
    ({"Host": "127.0.0.1:8080", "Origin": "null"}, "127.0.0.1", "", False),
    ({"Host": "nas.example", "Origin": "https://nas.example"}, "127.0.0.1", "nas.example", True),
    ({"Host": "localhost:8080", "Origin": "https://nas.example"}, "127.0.0.1", "nas.example", True),
    ({"Host": "localhost:8080", "Origin": "https://evil.example"}, "127.0.0.1", "nas.example", False),
    ({"Host": "127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}, "127.0.0.1", "", True),
    (
        {"Host": "127.0.0.1:8080", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"},
        "127.0.0.1",
        "",
        True,  # a link in a chat
    ),
    (
        {"Host": "127.0.0.1:8080", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"},
        "127.0.0.1",
        "",
        False,
    ),
    (
        {"Host": "127.0.0.1:8080", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "image"},
        "127.0.0.1",
        "",
        False,
    ),
]

ASK = """
const http = require('http'), net = require('net')
const server = http.createServer((_, response) => response.end('in')).listen(0, async () => {
  const { port } = server.address(), asked = JSON.parse(process.env.ASKED)
  const said = (start) => new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(start)), parts = []
    socket.on('data', (part) => parts.push(part)).on('close', () => resolve(String(Buffer.concat(parts))))
  })
  const lines = (all) => Object.entries(all).map(([name, value]) => `${name}: ${value}\\r\\n`).join('')
  const plain = await said(`PUT / HTTP/1.1\\r\\n${lines(asked)}Connection: close\\r\\n\\r\\n`)
  const upgrade = 'Connection: Upgrade\\r\\nUpgrade: websocket\\r\\n'
  const socket = await said(`GET / HTTP/1.1\\r\\n${lines(asked)}${upgrade}\\r\\n`)
  console.log(JSON.stringify([plain, socket]))
  server.close()
}).on('upgrade', (_, socket) => socket.end('HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n'))
"""


@pytest.mark.parametrize(("headers", "listens", "named", "answered"), REQUESTS)
def test_nnis_servers_answer_their_own_pages_and_programs_alone(
    headers: dict[str, str], listens: str, named: str, answered: bool
) -> None:
    # One that listens elsewhere would need that address: every server here asks by the same variables.
    environment = {"PATH": os.defpath, "ASKED": json.dumps(headers), "LESION_NAS_HOSTS": named}
    script = (
        f"process.env.LESION_NAS_LISTEN = '{listens}'; require({str(PRELOAD.with_name('nni_access.cjs'))!r});"
    )
    ran = subprocess.run(
        [NODE, "-e", script + ASK], env=environment, capture_output=True, text=True, timeout=200, check=True
    )
    plain, socket = json.loads(ran.stdout)
    assert plain.startswith("HTTP/1.1 200") is answered and plain.startswith("HTTP/1.1 403") is not answered
    assert socket.startswith("HTTP/1.1 101") is answered and socket.startswith("HTTP/1.1 403") is not answered
    assert answered or "lesion-nas: " in plain


@pytest.mark.parametrize(("headers", "listens", "named", "answered"), REQUESTS)
def test_tensorboard_answers_the_same(
    headers: dict[str, str], listens: str, named: str, answered: bool
) -> None:
    asked = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    setup_testing_defaults(asked)
    statuses: list[str] = []

    def start_response(status: str, headers: object, *_: object) -> object:
        return statuses.append(status)

    def app(asked: object, start: object) -> list[bytes]:
        start_response("200 OK", [])
        return [b"in"]

    said = b"".join(guarded(app, listens, named.split())(asked, start_response))
    assert statuses == ["200 OK" if answered else "403 Forbidden"]
    assert (said == b"in") is answered


# Parameters ------------------------------------------------------------------------------------------------

# What `nni.load` makes an object of; this one is harmless: it would become a Namespace.
BUILT = {"__symbol__": "path:argparse.Namespace", "__kwargs__": {"numerator": 1}}
RECORD = {"parameter_id": 3, "parameters": {"x": 7, "of": BUILT}}


def trial_parameters_in(folder: Path) -> subprocess.CompletedProcess[str]:
    script = (
        "import json; from trials.nni_host.parameters import trial_parameters as own; "
        "print(json.dumps(own()))"
    )
    folders = {"NNI_SYS_DIR": str(folder), "NNI_OUTPUT_DIR": str(folder), "NNI_TRIAL_JOB_ID": "A"}
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **folders, "NNI_PLATFORM": "kubeflow", "MULTI_PHASE": "true"},
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_nni_itself_would_build_the_object() -> None:
    assert type(nni.load(json.dumps(BUILT))).__name__ == "Namespace"


def test_parameters_of_older_services_are_plain_json(tmp_path: Path) -> None:
    (tmp_path / "parameter.cfg").write_text(json.dumps(RECORD))
    ran = trial_parameters_in(tmp_path)
    assert json.loads(ran.stdout.splitlines()[-1]) == RECORD["parameters"], ran.stderr


@contextmanager
def manager(record: object) -> Iterator[str]:
    """What a trial asks of NNI's manager, and the answers; yields the address."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = {"type": "parameter", "parameter": json.dumps(record)}
            job = {"hyperParameters": [json.dumps(record)]}
            self.answer(job if "trial-jobs" in self.path else said)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer({})

        def answer(self, value: object) -> None:
            self.send_response(HTTPStatus.OK)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_parameters_from_the_manager_are_plain_json_and_their_number_is_known(tmp_path: Path) -> None:
    script = """import json, nni, sys; from trials.nni_host.parameters import trial_parameters
said = [trial_parameters(), nni.trial._params["parameter_id"], nni.load.__module__]
json.dump(said, open(sys.argv[1], "w"))"""
    with manager(RECORD) as address:
        channel = {"NNI_TRIAL_COMMAND_CHANNEL": f"{address}/env/1/A", "NNI_TRIAL_JOB_ID": "A"}
        ran = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "said")],
            env={**os.environ, **channel, "NNI_PLATFORM": "local"},
            cwd=tmp_path,  # where NNI logs
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert ran.returncode == 0, ran.stderr
    said = json.loads((tmp_path / "said").read_text())
    assert said == [RECORD["parameters"], 3, "nni.common.serializer"]


def test_the_dispatchers_own_readers_are_plain_during_the_block() -> None:
    from nni.runtime import msg_dispatcher, msg_dispatcher_base

    with plain_json(msg_dispatcher, msg_dispatcher_base):
        for module in (msg_dispatcher, msg_dispatcher_base):
            assert module.load(json.dumps(BUILT)) == BUILT
    assert type(msg_dispatcher.load(json.dumps(BUILT))).__name__ == "Namespace"


@pytest.mark.parametrize("parameters", [None, [], "x", 3])
def test_what_are_no_parameters_by_name_is_refused(parameters: object) -> None:
    with pytest.raises(ParametersError, match="parameters by name"):
        meant(parameters)
