// A language client that shares no code with fimls: Microsoft's vscode-jsonrpc over stdio.
// Prints one JSON object of what it saw; its checks are in test_independent_client.py.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";

const [modules, ...command] = process.argv.slice(2);
const rpc = createRequire(`${modules}/`)("vscode-jsonrpc/node");

const seen = {};
const server = spawn(command[0], command.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
const exit = new Promise((resolve) => server.on("exit", (code, signal) => resolve(code ?? signal)));
const connection = rpc.createMessageConnection(
  new rpc.StreamMessageReader(server.stdout), new rpc.StreamMessageWriter(server.stdin));
connection.onUnhandledNotification(() => {});
connection.onRequest("workspace/configuration", ({ items }) => items.map(() => null));
connection.onRequest("window/workDoneProgress/create", () => null);
connection.onRequest("client/registerCapability", () => null);
connection.listen();

const failure = (promise) => promise.then(() => null, ({ code, message }) => ({ code, message }));
const uri = "file:///project/area.py";
const text = "def area(w, h):\n    ";
const ask = (token) => connection.sendRequest("textDocument/inlineCompletion", {
  textDocument: { uri }, position: { line: 1, character: 4 }, context: { triggerKind: 1 },
}, ...(token ? [token] : []));

seen.tooEarly = await failure(ask());
const initialized = await connection.sendRequest("initialize", {
  processId: process.pid, rootUri: null, clientInfo: { name: "independent" },
  capabilities: { general: { positionEncodings: ["utf-16"] } },
});
seen.capabilities = initialized.capabilities;
seen.serverInfo = initialized.serverInfo;
await connection.sendNotification("initialized", {});
await connection.sendNotification("textDocument/didOpen", {
  textDocument: { uri, languageId: "python", version: 1, text },
});
seen.answer = await ask();
seen.unknownRequest = await failure(connection.sendRequest("fimls/noSuchThing", {}));
await connection.sendNotification("fimls/noSuchNotification", {});
await connection.sendNotification("$/optional", {});
seen.malformed = await failure(
  connection.sendRequest("textDocument/inlineCompletion", { textDocument: 7 }));

// Something not generated before, taken back while it is being generated.
await connection.sendNotification("textDocument/didChange", {
  textDocument: { uri, version: 2 },
  contentChanges: [{ text: "def slow(w, h):\n    " }],
});
const source = new rpc.CancellationTokenSource();
const began = performance.now();
const cancelled = failure(ask(source.token));
setTimeout(() => source.cancel(), 200);
seen.cancelled = await cancelled;
seen.cancelledAfterMs = performance.now() - began;

// Two requests at once: each answer belongs to its own request.
await connection.sendNotification("textDocument/didChange", {
  textDocument: { uri, version: 3 }, contentChanges: [{ text }],
});
seen.afterCancel = await ask();

seen.shutdown = await connection.sendRequest("shutdown");
seen.afterShutdown = await failure(ask());
await connection.sendNotification("exit");
seen.exit = await exit;
console.log(JSON.stringify(seen));
process.exit(0);
