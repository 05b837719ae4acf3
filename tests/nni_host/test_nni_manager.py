"""What the preloaded file changes in NNI's manager."""

import os
import subprocess
from pathlib import Path

import nni_node

NODE = Path(nni_node.__path__[0]) / "node"
PRELOAD = Path(__file__).parents[2] / "trials" / "nni_manager.cjs"


def node(script: str, path: Path) -> str:
    ran = subprocess.run(
        [NODE, "--require", PRELOAD, "-e", script],
        env={"PATH": f"{path}:{os.defpath}"},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    return ran.stdout


def test_a_server_on_a_bare_port_is_bound_to_loopback(tmp_path: Path) -> None:
    script = """const server = require('http').createServer()
        server.listen(0, () => { console.log(server.address().address); server.close() })"""
    assert node(script, tmp_path) == "127.0.0.1\n"


def test_tensorboard_is_bound_to_loopback(tmp_path: Path) -> None:
    tensorboard = tmp_path / "tensorboard"
    tensorboard.write_text('#!/bin/sh\necho "$@"\n')
    tensorboard.chmod(0o755)
    script = """require('child_process').spawn(
        'tensorboard', ['--bind_all --logdir_spec=1:/x', '--port=6006'], {shell: true, stdio: 'inherit'})"""
    assert node(script, tmp_path) == "--host=127.0.0.1 --logdir_spec=1:/x --port=6006\n"


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
