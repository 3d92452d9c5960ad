// Uses a home through the published library `home-assistant-js-websocket`, and checks the results.
//
//     node socket_client.mjs URL
//
// URL is the URL of the home or of latchkey. Standard input has two tokens, one on each line. The library connects with
// the first one. The second one replaces it when the first one counts as expired. Prints a line for each step,
// `ok STEP` or `failed STEP: WHY`. The exit code is 0 only if all steps pass.

import { readFileSync } from "node:fs";

import {
  callService,
  createConnection,
  createLongLivedTokenAuth,
  ERR_INVALID_AUTH,
  getConfig,
  getServices,
  getStates,
} from "home-assistant-js-websocket";
import WebSocket from "ws";

// The library expects a browser's WebSocket.
globalThis.WebSocket = WebSocket;

const LIGHT = "light.bed_light";
const STEP_MS = 30_000;
const [url] = process.argv.slice(2);
const [first, second] = readFileSync(0, "utf8").trim().split("\n");
let failed = false;

function check(condition, why) {
  if (!condition) {
    throw new Error(why);
  }
}

async function step(name, work) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("no result in time")), STEP_MS);
  });
  try {
    await Promise.race([work(), timeout]);
    console.log(`ok ${name}`);
  } catch (error) {
    failed = true;
    console.log(`failed ${name}: ${error?.message ?? JSON.stringify(error)}`);
  } finally {
    clearTimeout(timer);
  }
}

async function light(connection) {
  const states = await getStates(connection);
  return states.find((state) => state.entity_id === LIGHT).state;
}

async function toggled(connection) {
  const before = await light(connection);
  await callService(connection, "light", "toggle", undefined, { entity_id: LIGHT });
  check((await light(connection)) !== before, `${LIGHT} did not change`);
}

// Closes the socket as a broken network does, and waits until the library has connected again.
function reconnected(connection) {
  return new Promise((resolve) => {
    const ready = () => {
      connection.removeEventListener("ready", ready);
      resolve();
    };
    connection.addEventListener("ready", ready);
    connection.socket.close();
  });
}

const auth = createLongLivedTokenAuth(url, first);
let refreshes = 0;
auth.refreshAccessToken = async () => {
  refreshes += 1;
  auth.data.access_token = second;
  auth.data.expires = Date.now() + 3_600_000;
};

let connection;
await step("connect", async () => {
  connection = await createConnection({ auth });
  check(/^\d+\.\d+/.test(connection.haVersion), `version ${connection.haVersion}`);
});
if (connection) {
  await step("states", async () => {
    check((await getStates(connection)).length > 20, "too few states");
  });
  await step("config", async () => {
    check((await getConfig(connection)).components.includes("demo"), "no component demo");
  });
  await step("services", async () => {
    check("turn_on" in (await getServices(connection)).light, "no service light.turn_on");
  });
  await step("call a service", () => toggled(connection));
  await step("several commands at once", async () => {
    const all = await Promise.all(Array.from({ length: 10 }, () => getConfig(connection)));
    check(all.length === 10, "a result is missing");
  });
  await step("ping", () => connection.ping());
  await step("failed command", async () => {
    const error = await callService(connection, "light", "no_such_service").catch((it) => it);
    check(error.code === "not_found", `error ${JSON.stringify(error)}`);
  });
  await step("subscription is refused", async () => {
    const error = await connection.subscribeEvents(() => {}, "x").catch((it) => it);
    check(error.code === "not_supported", `error ${JSON.stringify(error)}`);
  });
  await step("reconnect", async () => {
    await reconnected(connection);
    await toggled(connection);
  });
  await step("reconnect with a new token", async () => {
    auth.data.expires = Date.now() - 1;
    await reconnected(connection);
    check(refreshes === 1, `${refreshes} refreshes`);
    await toggled(connection);
  });
  connection.close();
}
await step("invalid token", async () => {
  const invalid = createLongLivedTokenAuth(url, `${second}x`);
  const error = await createConnection({ auth: invalid }).catch((it) => it);
  check(error === ERR_INVALID_AUTH, `error ${JSON.stringify(error)}`);
});
process.exit(failed ? 1 : 0);
