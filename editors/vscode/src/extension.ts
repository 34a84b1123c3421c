// fimls for VS Code: finds the server, hands it to vscode-languageclient, shows how it is.
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  type ErrorHandler,
  LanguageClient,
  type LanguageClientOptions,
  State as ClientState,
} from "vscode-languageclient/node";
import { findServer, NotInstalled, type Server } from "./find";
import { chooseModel, plannedEnvironment } from "./install";
import { type Explained, explanation } from "./explain";
import { Notifications } from "./progress";
import { reviewCommands } from "./review";
import { explicitSettings, serverKeys } from "./settings";
import { type Status, StatusBar } from "./status";
import { type Grown, type Host, Suggestions } from "./suggestions";

const LOG = "Show the Log";
// Crashes within this time are counted; after so many of them the server stays down.
const CRASH_WINDOW_MS = 180_000;
const CRASHES = 4;
const STARTING: Status = { state: "loading", message: "the server is starting" };
const INSTALLING: Status = { state: "loading", message: "the server is being installed" };
const RESTARTING: Status = { state: "loading", message: "the server ended and is started again" };
const FAILED: Status = {
  state: "error",
  message: "the server did not start",
  nextStep: "the log says why; restart it from here",
};

/** Writes to the log what the client would interrupt for; this extension tells what matters. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

class Extension implements vscode.Disposable, Host {
  readonly #context: vscode.ExtensionContext;
  readonly #log = vscode.window.createOutputChannel("fimls", { log: true });
  readonly #bar = new StatusBar();
  readonly #suggestions: Suggestions;
  readonly #notifications = new Notifications();
  readonly #explained = new vscode.EventEmitter<vscode.Uri>();
  #explanation = "";
  #client: LanguageClient | undefined;
  #server: Server | undefined;
  #hasRun = false; // the server, since it was last started by us
  #busy: Promise<void> = Promise.resolve();

  constructor(context: vscode.ExtensionContext) {
    this.#context = context;
    this.#suggestions = new Suggestions(this);
    const commands: Record<string, () => unknown> = {
      "fimls.toggle": () => this.#toggle(),
      "fimls.toggleLanguage": () => this.#toggleLanguage(),
      "fimls.restart": () => this.restart(),
      "fimls.fetchModel": () => this.#pull(),
      "fimls.log": () => this.#log.show(),
      "fimls.explainLast": () => this.#explain(),
      "fimls.createEnvironment": () => this.#create(),
      "fimls.menu": () => this.#menu(),
      "fimls.dismiss": () => this.#suggestions.hide(),
      ...reviewCommands((command, argument) => this.#execute(command, argument)),
    };
    for (const [name, action] of Object.entries(commands)) {
      context.subscriptions.push(vscode.commands.registerCommand(name, action));
    }
    context.subscriptions.push(
      vscode.workspace.registerTextDocumentContentProvider("fimls", {
        onDidChange: this.#explained.event,
        provideTextDocumentContent: () => this.#explanation,
      }),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration("fimls.client")) {
          void this.restart();
        } else if (event.affectsConfiguration("fimls")) {
          // The server asks for what it wants to know.
          void this.#client?.sendNotification("workspace/didChangeConfiguration", { settings: null });
        }
      }),
      vscode.workspace.onDidGrantWorkspaceTrust(() => {
        if (!this.#client) {
          void this.restart();
        }
      }),
    );
  }

  get client(): LanguageClient | undefined {
    return this.#client;
  }

  get id(): string {
    return this.#context.extension.id;
  }

  get log(): vscode.LogOutputChannel {
    return this.#log;
  }

  get isReady(): boolean {
    return this.#bar.status.state === "idle" || this.#bar.status.state === "thinking";
  }

  /** Ends the server that runs, if any, and starts one. Calls wait for each other. */
  restart(): Promise<void> {
    this.#busy = this.#busy.then(async () => {
      await this.#stop();
      await this.#start();
    });
    return this.#busy;
  }

  async #stop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    try {
      await client?.dispose(5000);
    } catch (error) {
      this.#log.warn(`stopping the server: ${String(error)}`);
    }
  }

  async #start(): Promise<void> {
    this.#bar.show(STARTING);
    try {
      this.#server = await findServer(this.#context);
    } catch (error) {
      this.#server = undefined;
      if (!(error instanceof NotInstalled)) {
        throw error;
      }
      this.#bar.show({ state: "error", message: error.message, nextStep: "click to install it" });
      void this.#offerInstall(error.message);
      return;
    }
    const { command, args, version } = this.#server;
    this.#log.info(`${version}: ${command} ${[...args, "--stdio"].join(" ")}`);
    const client = new QuietClient(
      "fimls",
      "fimls",
      { command, args: [...args, "--stdio"] },
      this.#options(),
    );
    client.onNotification("fimls/status", (status: Status) => {
      const wasReady = this.isReady;
      this.#bar.show(status);
      if (!wasReady) {
        this.#suggestions.askAgain();
      }
    });
    client.onNotification("fimls/grown", (grown: Grown) => void this.#suggestions.grow(grown));
    // Now, and after each time that the server ended.
    client.onDidChangeState(({ newState }) => {
      if (newState === ClientState.Running) {
        void client.start().then(() => this.#started(), () => undefined);
        return;
      }
      this.#notifications.end();
      if (newState === ClientState.StartFailed && this.#bar.status === RESTARTING) {
        this.#bar.show(FAILED);
      }
    });
    this.#hasRun = false;
    this.#client = client;
    try {
      await client.start();
    } catch (error) {
      this.#log.error(String(error));
      this.#bar.show(FAILED);
      void this.#tell("fimls: the server did not start; the log says why.");
    }
  }

  /** The server runs and knows the open documents; of its engine it has told, or will. */
  #started(): void {
    this.#hasRun = true;
    if ([STARTING, RESTARTING, FAILED].includes(this.#bar.status)) {
      this.#bar.show({ state: "idle" });
    }
    this.#suggestions.started();
  }

  #options(): LanguageClientOptions {
    const keys = serverKeys(this.#context);
    return {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { notebook: "*" }],
      // `client` is ours: it asks for fimls/status and fimls/grown notifications.
      initializationOptions: { ...explicitSettings(keys), client: { status: true, grows: true } },
      outputChannel: this.#log,
      traceOutputChannel: this.#log,
      errorHandler: this.#errorHandler(),
      initializationFailedHandler: () => false, // told where it was started
      middleware: {
        provideInlineCompletionItems: this.#suggestions.provide,
        handleWorkDoneProgress: (token, told, next) => {
          const cancel = (): void =>
            void this.#client?.sendNotification("window/workDoneProgress/cancel", { token });
          if (!this.#notifications.take(token, told, cancel)) {
            next(token, told);
          }
        },
        workspace: {
          configuration: (params) =>
            params.items.map((item) => {
              const scope = item.scopeUri ? vscode.Uri.parse(item.scopeUri) : undefined;
              return item.section === "fimls" ? explicitSettings(keys, scope) : null;
            }),
        },
      },
    };
  }

  #errorHandler(): ErrorHandler {
    let crashes: number[] = [];
    return {
      error: () => ({ action: ErrorAction.Continue, handled: true }),
      closed: () => {
        if (!this.#hasRun) {
          return { action: CloseAction.DoNotRestart, handled: true }; // it would end so again
        }
        const now = Date.now();
        crashes = [...crashes.filter((time) => now - time < CRASH_WINDOW_MS), now];
        if (crashes.length < CRASHES) {
          this.#bar.show(RESTARTING);
          return { action: CloseAction.Restart, handled: true };
        }
        const message = `the server ended ${crashes.length} times in a row and stays down`;
        this.#bar.show({ state: "error", message, nextStep: "the log says why; restart it from here" });
        void this.#tell(`fimls: ${message}.`);
        return { action: CloseAction.DoNotRestart, handled: true };
      },
    };
  }

  async #tell(message: string): Promise<void> {
    const again = "Restart";
    const choice = await vscode.window.showErrorMessage(message, again, LOG);
    if (choice === again) {
      await this.restart();
    } else if (choice === LOG) {
      this.#log.show();
    }
  }

  async #offerInstall(message: string): Promise<void> {
    const install = "Install…";
    const setting = "Name It in the Settings";
    const choice = await vscode.window.showErrorMessage(`${message}.`, install, setting);
    if (choice === install) {
      await this.#create();
    } else if (choice === setting) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "fimls.client");
    }
  }

  async #create(): Promise<void> {
    if (this.#bar.status === INSTALLING) {
      return; // a notification shows how far it is
    }
    const install = await plannedEnvironment(this.#context, this.#log);
    if (install) {
      const before = this.#bar.status;
      this.#bar.show(INSTALLING);
      if (await install()) {
        await this.restart();
      } else {
        this.#bar.show(before);
      }
    }
  }

  async #pull(): Promise<void> {
    if (!this.#server) {
      await this.#offerInstall("The fimls server is not installed");
      return;
    }
    const name = await chooseModel(this.#server, this.#log);
    // The server shows how far it is, and tells what goes wrong.
    if (name === undefined || !(await this.#execute("fimls.pullModel", name))) {
      return;
    }
    const settings = vscode.workspace.getConfiguration("fimls");
    const use = `Use ${name}`;
    if (settings.get("completion.model") === name) {
      void vscode.window.showInformationMessage(`fimls: ${name} is here.`);
    } else if ((await vscode.window.showInformationMessage(`fimls: ${name} is here.`, use)) === use) {
      await settings.update("completion.model", name, vscode.ConfigurationTarget.Global);
    }
  }

  /** What a command of the server answers; undefined after a message when it does not. */
  async #execute(command: string, ...args: unknown[]): Promise<unknown> {
    if (!this.#client?.isRunning()) {
      void this.#tell("fimls: the server is not running.");
      return undefined;
    }
    try {
      return await this.#client.sendRequest("workspace/executeCommand", { command, arguments: args });
    } catch (error) {
      void vscode.window.showWarningMessage(`fimls: ${(error as Error).message}`);
      return undefined;
    }
  }

  async #toggle(): Promise<void> {
    const settings = vscode.workspace.getConfiguration("fimls");
    const on = !settings.get<boolean>("completion.enabled", true);
    await settings.update("completion.enabled", on, vscode.ConfigurationTarget.Global);
  }

  async #toggleLanguage(): Promise<void> {
    const language = vscode.window.activeTextEditor?.document.languageId;
    if (language === undefined) {
      void vscode.window.showInformationMessage("fimls: open a file of the language first.");
      return;
    }
    const settings = vscode.workspace.getConfiguration("fimls");
    const off = settings.get<string[]>("completion.languages_off", []);
    const now = off.includes(language) ? off.filter((it) => it !== language) : [...off, language];
    await settings.update("completion.languages_off", now, vscode.ConfigurationTarget.Global);
    const word = now.includes(language) ? "off" : "on";
    void vscode.window.setStatusBarMessage(`fimls is ${word} for ${language}`, 4000);
  }

  async #explain(): Promise<void> {
    const answer = await this.#execute("fimls.explain");
    if (answer === undefined) {
      return;
    }
    if (answer === null) {
      void vscode.window.showInformationMessage("fimls: nothing has been completed yet.");
      return;
    }
    this.#explanation = explanation(answer as Explained);
    const uri = vscode.Uri.parse("fimls:/last-completion.md");
    this.#explained.fire(uri);
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(document, { preview: true, viewColumn: vscode.ViewColumn.Beside });
  }

  async #menu(): Promise<void> {
    const { state, message, nextStep } = this.#bar.shown;
    const settings = vscode.workspace.getConfiguration("fimls");
    const on = settings.get<boolean>("completion.enabled", true);
    const language = vscode.window.activeTextEditor?.document.languageId;
    const off = settings.get<string[]>("completion.languages_off", []);
    const items: (vscode.QuickPickItem & { command: string })[] = [
      { label: on ? "$(circle-slash) Turn off" : "$(sparkle) Turn on", command: "fimls.toggle" },
      { label: "$(search) Explain the last completion", command: "fimls.explainLast" },
      { label: "$(cloud-download) Fetch a model…", command: "fimls.fetchModel" },
      { label: "$(debug-restart) Restart the server", command: "fimls.restart" },
      { label: "$(output) Show the log", command: "fimls.log" },
    ];
    if (language !== undefined) {
      const word = off.includes(language) ? "$(sparkle) Turn on" : "$(circle-slash) Turn off";
      items.splice(1, 0, { label: `${word} for ${language}`, command: "fimls.toggleLanguage" });
    }
    if (!this.#server) {
      items.unshift({ label: "$(package) Install the server…", command: "fimls.createEnvironment" });
    }
    const why = [message, nextStep].filter(Boolean).join("; ");
    const chosen = await vscode.window.showQuickPick(items, {
      title: `fimls: ${state}`,
      placeHolder: why || "What to do?",
    });
    if (chosen) {
      await vscode.commands.executeCommand(chosen.command);
    }
  }

  async dispose(): Promise<void> {
    await this.#stop();
    this.#suggestions.dispose();
    this.#bar.dispose();
    this.#explained.dispose();
    this.#log.dispose();
  }
}

let extension: Extension | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  extension = new Extension(context);
  await extension.restart();
}

export async function deactivate(): Promise<void> {
  await extension?.dispose();
}
