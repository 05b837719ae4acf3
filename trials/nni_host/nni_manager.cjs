// Changes to NNI's manager, a node process: nnictl starts node, and node reads this file first
// (NODE_OPTIONS="--require nni_manager.cjs"). What NNI starts on other hosts reads it too.
"use strict";

const net = require("net");
const os = require("os");
const childProcess = require("child_process");

require("./nni_access.cjs");

// NNI's web server has no password and its API can start commands. It asks to listen on a bare port, which means
// every interface; give it the loopback interface instead, and LESION_NAS_LISTEN, an address, where that is named.
const wanted = process.env.LESION_NAS_LISTEN || "127.0.0.1";
const everywhere = ["0.0.0.0", "::"].includes(wanted); // loopback is a part of it
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  const bare = typeof port === "number" && typeof rest[0] !== "string";
  if (!bare) return listen.call(this, port, ...rest);
  if (wanted !== "127.0.0.1" && !everywhere) {
    const second = net.createServer((socket) => this.emit("connection", socket));
    second.on("error", (error) => this.emit("error", error));
    this.on("listening", () => listen.call(second, this.address().port, wanted));
    this.on("close", () => second.close());
  }
  return listen.call(this, port, everywhere ? wanted : "127.0.0.1", ...rest);
};

// The TensorBoard button runs `tensorboard --bind_all --logdir_spec=... --port=...`; tuner and assessor run in
// `python -m nni`. Ours start the same, behind a check, and with parameters read as plain JSON.
const spawn = childProcess.spawn;
childProcess.spawn = function (command, args, ...rest) {
  if (command === "tensorboard" && Array.isArray(args)) {
    args = ["-m", "trials.nni_host.tensorboard_access", ...args.map((arg) => arg.replace("--bind_all", `--host=${wanted}`))];
    command = "python";
  } else if (Array.isArray(args) && args[0] === "-m" && args[1] === "nni") {
    args = ["-m", "trials.nni_host.dispatcher", ...args.slice(2)];
  }
  return spawn.call(this, command, args, ...rest);
};

// The manager gives its tuner, a Python process, 10 seconds to start; on a busy machine that takes longer.
const setTimeout = globalThis.setTimeout;
globalThis.setTimeout = function (callback, delay, ...rest) {
  const forTuner = delay === 10000 && new Error().stack.includes("tuner_command_channel");
  return setTimeout(callback, forTuner ? 120000 : delay, ...rest);
};
Object.defineProperties(globalThis.setTimeout, Object.getOwnPropertyDescriptors(setTimeout));

// NNI's own modules, changed as they are loaded.
const changes = require("./nni_remote.cjs");
const load = require("module").prototype.load;
require("module").prototype.load = function (filename) {
  load.call(this, filename);
  const name = Object.keys(changes).find((end) => filename.endsWith(end));
  if (name) changes[name](this.exports);
};

// The manager takes a trial that died of a signal for one that it has ended itself. One that something else has
// killed (a crash, the system when memory runs out, kill -9) has failed, with the status that a shell would give it.
const { ChildProcess } = childProcess;
const emit = ChildProcess.prototype.emit;
ChildProcess.prototype.emit = function (event, ...args) {
  const [code, signal] = args;
  if (["exit", "close"].includes(event) && code === null && signal !== null && !this.killed) {
    args[0] = 128 + os.constants.signals[signal];
  }
  return emit.call(this, event, ...args);
};
