"""What the preloaded file changes in NNI's manager."""

import os
import socket
import subprocess
from pathlib import Path

import nni_node
import psutil
import pytest

NODE = Path(nni_node.__path__[0]) / "node"
PRELOAD = Path(__file__).parents[3] / "trials" / "nni_host" / "nni_manager.cjs"


def node(script: str, path: Path, **variables: str) -> str:
    ran = subprocess.run(
        [NODE, "--require", PRELOAD, "-e", script],
        env={"PATH": f"{path}:{os.defpath}", **variables},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    return ran.stdout


# Asks a server on a bare port at every address, and says which answer.
ASK = """
const http = require('http'), addresses = process.env.ASKED.split(' ')
const server = http.createServer((_, response) => response.end()).listen(0, async () => {
  for (const host of addresses) await new Promise((resolve) => {
    const said = (word) => { console.log(host, word); resolve() }
    const options = { host, port: server.address().port, agent: false }
    http.get(options, (answer) => { answer.resume(); said('answers') }).on('error', () => said('is silent'))
  })
  server.close()
})"""


def own_address() -> str:
    """An IPv4 address of this machine other than loopback: asking it is asking as others do."""
    found = [one for addresses in psutil.net_if_addrs().values() for one in addresses]
    others = [one.address for one in found if one.family == socket.AF_INET and one.address[:4] != "127."]
    if not others:
        pytest.skip("this machine has no address but loopback: nobody could ask from another")
    return others[0]


@pytest.mark.parametrize(("listen", "said"), [("", "is silent"), ("own", "answers"), ("0.0.0.0", "answers")])
def test_a_server_answers_loopback_and_others_only_by_the_switch(
    listen: str, said: str, tmp_path: Path
) -> None:
    own = own_address()
    opened = own if listen == "own" else listen
    asked = node(ASK, tmp_path, ASKED=f"127.0.0.1 {own}", LESION_NAS_LISTEN=opened)
    assert asked == f"127.0.0.1 answers\n{own} {said}\n"


@pytest.mark.parametrize("listen", ["127.0.0.1", "192.0.2.7"])
def test_tensorboard_listens_where_the_web_ui_does(listen: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    script = """require('child_process').spawn(
        'tensorboard', ['--bind_all --logdir_spec=1:/x', '--port=6006'], {shell: true, stdio: 'inherit'})"""
    said = node(script, tmp_path, LESION_NAS_LISTEN=listen)
    assert said == f"-m trials.nni_host.tensorboard_access --host={listen} --logdir_spec=1:/x --port=6006\n"


def test_the_tuner_is_started_as_our_dispatcher(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    script = """require('child_process').spawn(
        'python', ['-m', 'nni', '--exp_params', 'x'], {shell: true, stdio: 'inherit'})"""
    assert node(script, tmp_path) == "-m trials.nni_host.dispatcher --exp_params x\n"


# A training service of two hosts, A lost and B well, which tells what becomes of three trials on A.
LOSE = """
class V3asV1 {
  config = { trialCommand: 'run' }
  environments = [{ id: 'B' }]
  allocatedParameters = new Map()
  trialJobs = Object.fromEntries([['reported', 'RUNNING'], ['ended', 'FAILED'], ['running', 'RUNNING']].map(
    ([id, status]) => [id, { id, status, envId: 'A', form: { sequenceId: 7, hyperParameters: {} } }]))
  v3 = {
    workersByEnv: new Map([['B', {}]]),
    onMetric: (hear) => hear('reported', '{"type": "FINAL"}'),
    onTrialEnd: (hear) => Object.keys(this.trialJobs).forEach((id) => hear(id, 0, null)),
    createTrial: async (...args) => { console.log('start', ...args); return args[4] },
  }
  start() {
    this.v3.onMetric(() => {})
    this.v3.onTrialEnd((id, time, code) => console.log('end', id, code))
  }
}
require(process.env.CHANGES)['/v3/compat.js']({ V3asV1 })
new V3asV1().start()"""


def test_a_lost_host_takes_neither_a_result_nor_a_trial_with_it(tmp_path: Path) -> None:
    said = node(LOSE, tmp_path, CHANGES=str(PRELOAD.with_name("nni_remote.cjs")))
    assert said == "end reported 0\nstart B run trial_code 7 running\n"


def test_a_tuner_has_two_minutes_to_start_and_other_timers_keep_their_time(tmp_path: Path) -> None:
    channel = tmp_path / "tuner_command_channel.js"
    channel.write_text("module.exports = () => setTimeout(() => {}, 10000)")
    script = f"""const timers = [require({str(channel)!r})(), setTimeout(() => {{}}, 10000)]
        console.log(timers.map((timer) => timer._idleTimeout)); timers.forEach(clearTimeout)"""
    assert node(script, tmp_path) == "[ 120000, 10000 ]\n"


def test_a_trial_that_something_else_killed_has_failed_and_one_that_nni_ended_has_not(tmp_path: Path) -> None:
    script = """const { spawn } = require('child_process')
        for (const end of [(child) => process.kill(child.pid, 'SIGKILL'), (child) => child.kill('SIGINT')]) {
          const child = spawn('exec sleep 60', {shell: true})
          child.on('exit', (code, signal) => console.log(code, signal))
          child.on('spawn', () => end(child))
        }"""
    assert sorted(node(script, tmp_path).splitlines()) == ["137 SIGKILL", "null SIGINT"]
