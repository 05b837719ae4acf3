// Who may ask NNI's servers, which have no password: programs, and pages of the web UI itself. A page of another site,
// open in a browser on this machine, reaches loopback as well: it names itself in Origin, or, by a name of its own
// that it lets point here (DNS rebinding), in Host. trials/nni_host/tensorboard_access.py asks the same of TensorBoard's pages.
"use strict";

const http = require("http");
const net = require("net");

const listens = process.env.LESION_NAS_LISTEN || "127.0.0.1";
const named = (process.env.LESION_NAS_HOSTS || "").toLowerCase().split(" ").filter(Boolean);
const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d+)?$/;

// Any port is right, as an SSH tunnel may begin at any. An address, unlike a name, points nowhere else; but only
// where somebody has opened the port beyond this machine does one other than loopback lead here.
function known(host) {
  const name = HOST.exec(host)?.[1];
  if (name === undefined) return false;
  const address = name.replace(/^\[|\]$/g, "");
  const loopback = name === "localhost" || address === "::1" || (net.isIPv4(address) && address.startsWith("127."));
  return loopback || name === listens || named.includes(name) || (listens !== "127.0.0.1" && net.isIP(address) !== 0);
}

function ownOrigin(origin, host) {
  try {
    const { protocol, host: asked, hostname } = new URL(origin);
    return new URL(`${protocol}//${host}`).host === asked || named.includes(hostname);
  } catch {
    return false; // "null", of a page in a sandbox
  }
}

// Returns why a request is refused; null: it is not.
function refusal({ host = "", origin, "sec-fetch-site": site, "sec-fetch-dest": shownAs }) {
  host = host.toLowerCase();
  if (!known(host)) {
    return `Host "${host}" is not known here: open 127.0.0.1 or localhost, or start with --allow-host and that name`;
  }
  if (origin !== undefined && !ownOrigin(origin.toLowerCase(), host)) {
    return `a page of "${origin}" may not ask here: behind a proxy start with --allow-host and its name`;
  }
  if (["cross-site", "same-site"].includes(site) && shownAs !== "document") return "a page of another site may not ask here";
  return null;
}

function refuse(response, reason) {
  response.writeHead(403, { "Content-Type": "text/plain; charset=utf-8", Connection: "close" });
  response.end(`lesion-nas: ${reason}\n`);
}

const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function (event, request, answer, ...rest) {
  const asks = ["request", "checkContinue", "checkExpectation", "upgrade", "connect"].includes(event);
  const reason = asks ? refusal(request.headers) : null;
  if (reason === null) return emit.call(this, event, request, answer, ...rest);
  if (answer instanceof http.ServerResponse) refuse(answer, reason);
  else answer.end(`HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nlesion-nas: ${reason}\n`); // a bare socket
  return true;
};
