// Keeps NNI's web server and its TensorBoard on this machine: NNI has no password and its API can start commands.
// nnictl starts node, and node reads this file first (NODE_OPTIONS="--require loopback.cjs").
"use strict";

const net = require("net");
const childProcess = require("child_process");

// The web server asks to listen on a bare port, which means every interface; name the loopback interface instead.
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  const bare = typeof port === "number" && typeof rest[0] !== "string";
  return bare ? listen.call(this, port, "127.0.0.1", ...rest) : listen.call(this, port, ...rest);
};

// The TensorBoard button runs `tensorboard --bind_all --logdir_spec=... --port=...`.
const spawn = childProcess.spawn;
childProcess.spawn = function (command, args, ...rest) {
  if (command === "tensorboard" && Array.isArray(args)) {
    args = args.map((arg) => arg.replace("--bind_all", "--host=127.0.0.1"));
  }
  return spawn.call(this, command, args, ...rest);
};
