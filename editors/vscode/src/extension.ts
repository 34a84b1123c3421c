// fimls for VS Code: finds the server, hands it to vscode-languageclient, shows how it is.
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  type ErrorHandler,
  LanguageClient,
  type LanguageClientOptions,
} from "vscode-languageclient/node";
import { findServer, NotInstalled, type Server } from "./find";
import { createEnvironment, pullModel } from "./install";
import { type Explained, explanation } from "./explain";
import { explicitSettings, serverKeys } from "./settings";
import { type Status, StatusBar } from "./status";
import { LastChange } from "./typing";

const LOG = "Show the Log";
// Crashes within this time are counted; after so many of them the server stays down.
const CRASH_WINDOW_MS = 180_000;
const CRASHES = 4;

class Extension implements vscode.Disposable {
  readonly #context: vscode.ExtensionContext;
  readonly #log = vscode.window.createOutputChannel("fimls", { log: true });
  readonly #bar = new StatusBar();
  readonly #changes = new LastChange();
  readonly #explained = new vscode.EventEmitter<vscode.Uri>();
  #explanation = "";
  #client: LanguageClient | undefined;
  #server: Server | undefined;
  #busy: Promise<void> = Promise.resolve();

  constructor(context: vscode.ExtensionContext) {
    this.#context = context;
    const commands: Record<string, () => unknown> = {
      "fimls.toggle": () => this.#toggle(),
      "fimls.toggleLanguage": () => this.#toggleLanguage(),
      "fimls.restart": () => this.restart(),
      "fimls.fetchModel": () => this.#pull(),
      "fimls.log": () => this.#log.show(),
      "fimls.explainLast": () => this.#explain(),
      "fimls.createEnvironment": () => this.#create(),
      "fimls.menu": () => this.#menu(),
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
    this.#bar.show({ state: "loading", message: "the server is starting" });
    try {
      this.#server = await findServer(this.#context);
    } catch (error) {
      this.#server = undefined;
      if (!(error instanceof NotInstalled)) {
        throw error;
      }
      this.#bar.show({ state: "error", message: error.message, nextStep: "Click to install it." });
      void this.#offerInstall(error.message);
      return;
    }
    const { command, args, version } = this.#server;
    this.#log.info(`${version}: ${command} ${[...args, "--stdio"].join(" ")}`);
    const client = new LanguageClient(
      "fimls",
      "fimls",
      { command, args: [...args, "--stdio"] },
      this.#options(),
    );
    client.onNotification("fimls/status", (status: Status) => this.#bar.show(status));
    this.#client = client;
    try {
      await client.start();
      if (this.#bar.status.state === "loading" && this.#bar.status.message === "the server is starting") {
        this.#bar.show({ state: "idle" });
      }
    } catch (error) {
      this.#bar.show({
        state: "error",
        message: `the server did not start: ${String(error)}`,
        nextStep: "The log says why.",
      });
    }
  }

  #options(): LanguageClientOptions {
    const keys = serverKeys(this.#context);
    return {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { notebook: "*" }],
      // `client` is ours: it asks for fimls/status notifications.
      initializationOptions: { ...explicitSettings(keys), client: { status: true } },
      outputChannel: this.#log,
      traceOutputChannel: this.#log,
      errorHandler: this.#errorHandler(),
      middleware: {
        provideInlineCompletionItems: async (document, position, context, token, next) => {
          const automatic = context.triggerKind === vscode.InlineCompletionTriggerKind.Automatic;
          const reason = automatic ? this.#changes.reasonOff(document, position) : undefined;
          if (reason !== undefined) {
            this.#log.trace(`not asked: ${reason}`);
            return [];
          }
          const found = await next(document, position, context, token);
          const items = Array.isArray(found) ? found : (found?.items ?? []);
          this.#changes.offered(items.map((item) => text(item.insertText)).join("\n"));
          return found;
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
        const now = Date.now();
        crashes = [...crashes.filter((time) => now - time < CRASH_WINDOW_MS), now];
        if (crashes.length < CRASHES) {
          this.#bar.show({ state: "loading", message: "the server ended and is started again" });
          return { action: CloseAction.Restart, handled: true };
        }
        const message = `the server ended ${crashes.length} times in a row and stays down`;
        this.#bar.show({ state: "error", message, nextStep: "The log says why; restart it from here." });
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
    if (await createEnvironment(this.#context, this.#log)) {
      await this.restart();
    }
  }

  async #pull(): Promise<void> {
    if (!this.#server) {
      await this.#offerInstall("The fimls server is not installed");
      return;
    }
    const name = await pullModel(this.#server, this.#log);
    if (name === undefined) {
      return;
    }
    const settings = vscode.workspace.getConfiguration("fimls");
    const use = `Use ${name}`;
    if (settings.get("completion.model") === name) {
      await this.restart();
    } else if ((await vscode.window.showInformationMessage(`${name} is here.`, use)) === use) {
      await settings.update("completion.model", name, vscode.ConfigurationTarget.Global);
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
    if (!this.#client?.isRunning()) {
      void this.#tell("fimls: the server is not running.");
      return;
    }
    try {
      const answer: unknown = await this.#client.sendRequest("workspace/executeCommand", {
        command: "fimls.explain",
        arguments: [],
      });
      if (answer === null) {
        void vscode.window.showInformationMessage("fimls: nothing has been completed yet.");
        return;
      }
      this.#explanation = explanation(answer as Explained);
    } catch (error) {
      void vscode.window.showWarningMessage(`fimls: ${(error as Error).message}`);
      return;
    }
    const uri = vscode.Uri.parse("fimls:/last-completion.md");
    this.#explained.fire(uri);
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(document, { preview: true, viewColumn: vscode.ViewColumn.Beside });
  }

  async #menu(): Promise<void> {
    const { state, message, nextStep } = this.#bar.status;
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
    const why = [message, nextStep].filter(Boolean).join(" ");
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
    this.#changes.dispose();
    this.#bar.dispose();
    this.#explained.dispose();
    this.#log.dispose();
  }
}

function text(inserted: string | vscode.SnippetString): string {
  return typeof inserted === "string" ? inserted : inserted.value;
}

let extension: Extension | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  extension = new Extension(context);
  await extension.restart();
}

export async function deactivate(): Promise<void> {
  await extension?.dispose();
}
