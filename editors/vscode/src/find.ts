// Where the server is: the user's setting, the workspace's environment, our own one, PATH.
import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import * as path from "node:path";
import { promisify } from "node:util";
import * as vscode from "vscode";

const run = promisify(execFile);
const scripts = process.platform === "win32" ? "Scripts" : "bin";
const suffix = process.platform === "win32" ? ".exe" : "";

/** A command that answers `--version`, and what it answered. */
export interface Server {
  readonly command: string;
  readonly args: readonly string[];
  readonly version: string;
}

export class NotInstalled extends Error {}

/** The environment that this extension makes when it is asked to. */
export function ownEnvironment(context: vscode.ExtensionContext): string {
  return path.join(context.globalStorageUri.fsPath, "environment");
}

export function inEnvironment(environment: string, program: string): string {
  return path.join(environment, scripts, program + suffix);
}

async function runnable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function version(command: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout } = await run(command, [...args, "--version"], { timeout: 20_000 });
    return stdout.trim();
  } catch {
    return undefined;
  }
}

/** The first candidate that runs. Throws `NotInstalled` with the next step in its message. */
export async function findServer(context: vscode.ExtensionContext): Promise<Server> {
  const settings = vscode.workspace.getConfiguration("fimls.client");
  const [command, ...args] = settings.get<string[]>("command", []);
  if (command) {
    const found = await version(command, args);
    if (found === undefined) {
      throw new NotInstalled(`The setting fimls.client.command names ${command}, which does not run`);
    }
    return { command, args, version: found };
  }
  const candidates: [string, string[]][] = [];
  // Programs of a folder that the user has not said to trust are not run.
  if (vscode.workspace.isTrusted) {
    for (const folder of vscode.workspace.workspaceFolders ?? []) {
      for (const name of [".venv", "venv"]) {
        const environment = path.join(folder.uri.fsPath, name);
        candidates.push([inEnvironment(environment, "fimls"), []]);
      }
    }
  }
  candidates.push([inEnvironment(ownEnvironment(context), "fimls"), []]);
  for (const [file, rest] of candidates) {
    const found = (await runnable(file)) ? await version(file, rest) : undefined;
    if (found !== undefined) {
      return { command: file, args: rest, version: found };
    }
  }
  const python = settings.get<string>("python", "");
  const onPath: [string, string[]][] = [["fimls", []]];
  for (const name of python ? [python] : ["python3", "python"]) {
    onPath.push([name, ["-m", "fimls"]]);
  }
  for (const [name, rest] of onPath) {
    const found = await version(name, rest);
    if (found !== undefined) {
      return { command: name, args: rest, version: found };
    }
  }
  throw new NotInstalled("The fimls server is not installed");
}

/** A Python that can run the server (3.10 or newer), or undefined. */
export async function findPython(): Promise<string | undefined> {
  const wanted = vscode.workspace.getConfiguration("fimls.client").get<string>("python", "");
  const names = wanted
    ? [wanted]
    : ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python"];
  const question = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
  for (const name of names) {
    try {
      await run(name, ["-c", question], { timeout: 20_000 });
      return name;
    } catch {
      continue;
    }
  }
  return undefined;
}
