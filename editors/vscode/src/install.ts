// Making a Python environment for the server, and choosing a model: only when asked to.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import * as path from "node:path";
import * as vscode from "vscode";
import { findPython, inEnvironment, ownEnvironment, type Server } from "./find";

// No questions, and no bars drawn with characters: each line is shown in a notification.
const QUIET = ["--no-input", "--progress-bar", "off", "--disable-pip-version-check"];

/** Runs to the end under a notification that can be cancelled; every line goes to the log. */
async function runWithProgress(
  title: string,
  steps: readonly [string, readonly string[]][],
  log: vscode.LogOutputChannel,
): Promise<boolean> {
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  return vscode.window.withProgress(options, async (progress, token) => {
    const reason = new Reason();
    for (const [command, args] of steps) {
      const said = (line: string): void => {
        reason.hear(line.trim());
        log.info(line);
        progress.report({ message: line.trim().slice(0, 100) });
      };
      log.info(`> ${command} ${args.join(" ")}`);
      const status = await finished(spawn(command, args), said, token);
      if (token.isCancellationRequested) {
        return false;
      }
      if (status !== 0) {
        void complain(`${title} failed: ${reason.text || `exit status ${status}`}`, log);
        return false;
      }
    }
    return true;
  });
}

/** Why pip failed, out of all that it says: it goes on to speak of other things afterwards. */
class Reason {
  #last = "";
  #found = "";

  hear(line: string): void {
    // What pip itself complains of, or the last words of a build that it ran.
    if (/^ERROR: /.test(line)) {
      this.#found ||= line;
    } else if (line === "[end of output]") {
      this.#found ||= this.#last;
    }
    this.#last = /^(note|hint): /.test(line) ? this.#last : line;
  }

  get text(): string {
    return this.#found || this.#last;
  }
}

async function complain(message: string, log: vscode.LogOutputChannel): Promise<void> {
  if (await vscode.window.showErrorMessage(message, "Show the Log")) {
    log.show();
  }
}

function finished(
  child: ChildProcess,
  said: (line: string) => void,
  token: vscode.CancellationToken,
): Promise<number | null> {
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

/** Asks. Returns what makes the extension's own environment, or undefined without consent. */
export async function plannedEnvironment(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
): Promise<(() => Promise<boolean>) | undefined> {
  const python = await findPython();
  if (python === undefined) {
    const text =
      "fimls needs Python 3.10 or newer with its venv module. Install it " +
      "(on Debian: apt install python3-venv), or name one in the setting fimls.client.python.";
    void vscode.window.showErrorMessage(text);
    return undefined;
  }
  const where = ownEnvironment(context);
  const named = vscode.workspace.getConfiguration("fimls.client").get<string>("package", "");
  const from = named || path.join(context.extensionPath, "server");
  const detail =
    `${python} will make a virtual environment in ${where} and install ` +
    `${named || "the server that came with this extension"} into it, with what it needs from ` +
    "your Python package index: about 100 MB to fetch, 300 MB on disk, and some minutes where " +
    "llama.cpp has to be compiled. Nothing else is changed. The model is fetched separately, when you ask for it.";
  const install = "Install";
  const choice = await vscode.window.showInformationMessage(
    "Install the fimls server?",
    { modal: true, detail },
    install,
  );
  if (choice !== install) {
    return undefined;
  }
  const environmentPython = inEnvironment(where, "python");
  return async () => {
    await mkdir(context.globalStorageUri.fsPath, { recursive: true });
    return runWithProgress(
      "Installing fimls",
      [
        [python, ["-m", "venv", where]],
        [environmentPython, ["-m", "pip", "install", ...QUIET, "--upgrade", from]],
      ],
      log,
    );
  };
}

interface Model {
  readonly name: string;
  readonly bytes: number | null;
  readonly licence: string;
  readonly memory_mb: number;
  readonly verdict: string;
  readonly state: string;
}

/** Lets the user choose a model of the catalogue. Returns its name. */
export async function chooseModel(
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
    void complain("fimls could not list its models; the log says why.", log);
    return undefined;
  }
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  const download = (bytes: number | null): string =>
    bytes === null ? "" : `${gigabytes(bytes)} to download, `;
  const items = models.map((model) => ({
    label: model.name,
    description:
      model.state === "verified" || model.state === "unverified"
        ? "already here"
        : `${download(model.bytes)}${gigabytes(model.memory_mb * 1e6)} of memory`,
    detail: `${model.verdict} (${model.licence})`,
  }));
  const chosen = await vscode.window.showQuickPick(items, {
    title: "Fetch a model for fimls",
    placeHolder: "Models are kept in your cache folder and used by every editor",
    matchOnDetail: true,
  });
  return chosen?.label;
}
