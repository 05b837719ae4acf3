// Changes to NNI's remote training service, by the end of a module's path below nni_node/training_service: trials
// find their folders on other hosts, and a host that is lost takes nothing with it. Read by nni_manager.cjs.
"use strict";

const RETRY = 30000; // ms between two tries to use a lost host again
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const unended = (trial) => ["WAITING", "RUNNING"].includes(trial.status);

// What a trial needs to know on any host: its folders, and where the manager is, as seen from there.
function exported(channelUrl) {
  const named = Object.entries(process.env).filter(([name]) => /^LESION_NAS_(?!LISTEN)/.test(name));
  const manager = channelUrl.replace(/^ws/, "http").replace(/\/platform\/.*/, "");
  return [...named, ["LESION_NAS_MANAGER", manager]].map(([name, value]) => `export ${name}=${quoted(value)}; `).join("");
}

module.exports = {
  "/remote_v3/ssh.js": ({ Ssh }) => {
    const { connect, run } = Ssh.prototype;

    // Without a listener, the end of a connection by an error would end the manager.
    Ssh.prototype.connect = async function () {
      await connect.call(this);
      this.client.on("error", (error) => this.log.error("SSH connection lost:", error));
    };

    // A host keeps the packages that were installed there, and what NNI starts there is ours to change as well.
    Ssh.prototype.run = async function (command) {
      if (command.endsWith("-m pip install nni --upgrade")) return "";
      return run.call(this, command.replace(/nni\.tools\S*\.launch_trial_keeper/, "trials.nni_host.trial_keeper"));
    };
  },

  "/remote_v3/worker.js": ({ Worker }) => {
    const { upload } = Worker.prototype;
    Worker.prototype.upload = async function (...args) {
      await upload.apply(this, args);
      this.ready = true;
    };
  },

  "/remote_v3/remote.js": ({ RemoteTrainingServiceV3: { prototype: service } }) => {
    const { createTrial, sendParameter, stopWorker, restartWorker } = service;

    service.createTrial = async function (envId, command, ...rest) {
      const worker = this.workersByEnv.get(envId);
      return createTrial.call(this, envId, (worker ? exported(worker.channelUrl) : "") + command, ...rest);
    };

    service.emitEnvUpdate = function () {
      const ready = this.workers.filter((worker) => worker.ready);
      this.emitter.emit("env_update", ready.map((worker) => worker.env));
    };

    // What was asked of a lost host is never answered: without an error the manager would wait for it forever.
    service.stopWorker = function (worker, update) {
      stopWorker.call(this, worker, update);
      const error = new Error(`${worker.config.host} is lost`);
      for (const answer of worker.trialKeeper.rpc?.responses.values() ?? []) answer.settled || answer.reject(error);
    };
    service.sendParameter = function (...args) {
      return sendParameter.apply(this, args).catch((error) => this.log.error(error));
    };

    // NNI tries once to use a lost host again; go on trying.
    service.restartWorker = async function (lost) {
      if (lost.replaced) return; // it may be found lost by more than one sign
      lost.replaced = true;
      await restartWorker.call(this, lost);
      const next = this.workers.find((worker) => worker.config === lost.config);
      if (next.ready) return;
      this.stopWorker(next, true);
      await pause(RETRY);
      this.restartWorker(next);
    };
  },

  "/v3/compat.js": ({ V3asV1: { prototype: service } }) => {
    const { start, schedule } = service;

    // NNI takes the trials of a lost host for cancelled. One whose result is here has succeeded (its result comes
    // last); start the others anew elsewhere, as the same trials.
    service.start = function () {
      const { onMetric, onTrialEnd } = this.v3;
      const finished = new Set();
      this.v3.onMetric = (callback) =>
        onMetric.call(this.v3, (id, metric) => {
          if (JSON.parse(metric).type === "FINAL") finished.add(id);
          return callback(id, metric);
        });
      this.v3.onTrialEnd = (callback) =>
        onTrialEnd.call(this.v3, (id, time, exitCode) => {
          const trial = this.trialJobs[id];
          const lost = this.v3.workersByEnv && !this.v3.workersByEnv.has(trial.envId);
          if (!lost) return callback(id, time, exitCode);
          if (!unended(trial)) return; // NNI repeats the end of all that ever ran there
          return finished.has(id) ? callback(id, time, 0) : this.move(trial);
        });
      return start.call(this);
    };

    service.move = async function (trial) {
      const { form, id } = trial;
      this.allocatedParameters.set(id, form.hyperParameters.value);
      for (let moved = null; moved === null; await pause(1000)) {
        trial.envId = this.schedule(); // null until a host is back
        const command = this.config.trialCommand;
        moved = await this.v3.createTrial(trial.envId, command, "trial_code", form.sequenceId, id).catch(() => null);
      }
    };

    // NNI takes the hosts by turns, however long their trials last; where no GPUs decide, take the idlest.
    service.schedule = function () {
      if (this.config.trialGpuNumber) return schedule.call(this);
      const load = ({ id }) => Object.values(this.trialJobs).filter((one) => one.envId === id && unended(one)).length;
      const [idlest] = [...this.environments].sort((one, other) => load(one) - load(other));
      return idlest?.id ?? null;
    };
  },
};
