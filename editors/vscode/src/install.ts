// Making a Python environment for the server, and fetching models: only when asked to.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import * as vscode from "vscode";
import { findPython, inEnvironment, ownEnvironment, type Server } from "./find";

/** Runs to the end under a notification that can be cancelled; every line goes to the log. */
async function runWithProgress(
  title: string,
  steps: readonly [string, readonly string[]][],
  log: vscode.LogOutputChannel,
): Promise<boolean> {
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  return vscode.window.withProgress(options, async (progress, token) => {
    let last = "";
    for (const [command, args] of steps) {
      const said = (line: string): void => {
        last = line;
        log.info(line);
        progress.report(report(line));
      };
      log.info(`> ${command} ${args.join(" ")}`);
      const status = await finished(spawn(command, args), said, token);
      if (token.isCancellationRequested) {
        return false;
      }
      if (status !== 0) {
        const choice = await vscode.window.showErrorMessage(`${title} failed: ${last}`, "Show the Log");
        if (choice) {
          log.show();
        }
        return false;
      }
    }
    return true;
  });
}

let percent = 0;

/** "downloading, 120 of 491 MB" moves the bar; anything else only changes the text. */
function report(line: string): { message: string; increment?: number } {
  const found = /([\d,]+) of ([\d,]+) MB/.exec(line);
  if (!found?.[1] || !found[2]) {
    return { message: line.slice(0, 100) };
  }
  const now = (100 * Number(found[1].replaceAll(",", ""))) / Number(found[2].replaceAll(",", ""));
  const increment = Math.max(0, now - percent);
  percent = now;
  return { message: line.slice(0, 100), increment };
}

function finished(
  child: ChildProcess,
  said: (line: string) => void,
  token: vscode.CancellationToken,
): Promise<number | null> {
  percent = 0;
  const stop = token.onCancellationRequested(() => child.kill());
  for (const stream of [child.stdout, child.stderr]) {
    let rest = "";
    stream?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop() ?? "";
      lines.filter((line) => line.trim()).forEach(said);
    });
  }
  return new Promise((resolve) => {
    child.on("error", (error) => {
      said(error.message);
      stop.dispose();
      resolve(-1);
    });
    child.on("close", (status) => {
      stop.dispose();
      resolve(status);
    });
  });
}

/** Asks, and then makes the extension's own environment. Returns whether it is there now. */
export async function createEnvironment(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
): Promise<boolean> {
  const python = await findPython();
  if (python === undefined) {
    const text =
      "fimls needs Python 3.10 or newer with its venv module. Install it " +
      "(on Debian: apt install python3-venv), or name one in the setting fimls.client.python.";
    void vscode.window.showErrorMessage(text);
    return false;
  }
  const where = ownEnvironment(context);
  const name = vscode.workspace.getConfiguration("fimls.client").get<string>("package", "fimls");
  const detail =
    `${python} will make a virtual environment in ${where} and install "${name}" into it from ` +
    "your Python package index: about 100 MB, and some minutes where llama.cpp has to be compiled. " +
    "Nothing else is changed. The model is fetched separately, when you ask for it.";
  const install = "Install";
  const choice = await vscode.window.showInformationMessage(
    "Install the fimls server?",
    { modal: true, detail },
    install,
  );
  if (choice !== install) {
    return false;
  }
  await mkdir(context.globalStorageUri.fsPath, { recursive: true });
  const environmentPython = inEnvironment(where, "python");
  return runWithProgress(
    "Installing fimls",
    [
      [python, ["-m", "venv", where]],
      [environmentPython, ["-m", "pip", "install", "--upgrade", name]],
    ],
    log,
  );
}

interface Model {
  readonly name: string;
  readonly bytes: number;
  readonly licence: string;
  readonly memory_mb: number;
  readonly verdict: string;
  readonly state: string;
}

/** Lets the user choose a model of the catalogue and fetches it. Returns its name. */
export async function pullModel(
  server: Server,
  log: vscode.LogOutputChannel,
): Promise<string | undefined> {
  const listed: string[] = [];
  const child = spawn(server.command, [...server.args, "models", "list", "--json"]);
  const never = new vscode.CancellationTokenSource();
  const status = await finished(child, (line) => listed.push(line), never.token);
  never.dispose();
  let models: Model[];
  try {
    models = (JSON.parse(listed.join("\n")) as { models: Model[] }).models;
  } catch {
    log.error(`fimls models list --json: exit status ${status}: ${listed.slice(-3).join(" / ")}`);
    void vscode.window.showErrorMessage("fimls could not list its models; the log says why.");
    return undefined;
  }
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  const items = models.map((model) => ({
    label: model.name,
    description:
      model.state === "verified" || model.state === "unverified"
        ? "already here"
        : `${gigabytes(model.bytes)} to download, ${gigabytes(model.memory_mb * 1e6)} of memory`,
    detail: `${model.verdict} (${model.licence})`,
  }));
  const chosen = await vscode.window.showQuickPick(items, {
    title: "Fetch a model for fimls",
    placeHolder: "Models are kept in your cache folder and used by every editor",
    matchOnDetail: true,
  });
  if (!chosen) {
    return undefined;
  }
  const step: [string, string[]] = [
    server.command,
    [...server.args, "models", "pull", chosen.label],
  ];
  return (await runWithProgress(`Fetching ${chosen.label}`, [step], log)) ? chosen.label : undefined;
}
