// The status bar item: what the server is doing, why, and what a click can do about it.
import * as vscode from "vscode";

export type State = "loading" | "idle" | "thinking" | "off" | "error";

/** The parameters of the server's `fimls/status` notification. */
export interface Status {
  readonly state: State;
  readonly message?: string;
  readonly nextStep?: string;
  readonly model?: string;
}

const ICONS: Record<State, string> = {
  loading: "$(loading~spin)",
  idle: "$(sparkle)",
  thinking: "$(ellipsis)",
  off: "$(circle-slash)",
  error: "$(warning)",
};

const WORDS: Record<State, string> = {
  loading: "loading",
  idle: "ready",
  thinking: "thinking",
  off: "off",
  error: "needs attention",
};

/** Whether completion is turned off for the document's language. */
export function isOff(document: vscode.TextDocument): boolean {
  const settings = vscode.workspace.getConfiguration("fimls", document);
  return settings.get<string[]>("completion.languages_off", []).includes(document.languageId);
}

export class StatusBar implements vscode.Disposable {
  readonly #item = vscode.window.createStatusBarItem("fimls", vscode.StatusBarAlignment.Right, 100);
  readonly #subscriptions: vscode.Disposable[];
  #status: Status = { state: "loading" };

  constructor() {
    this.#item.name = "fimls";
    this.#item.command = "fimls.menu";
    this.show(this.#status);
    this.#item.show();
    const again = (): void => this.show(this.#status);
    this.#subscriptions = [
      vscode.window.onDidChangeActiveTextEditor(again),
      vscode.workspace.onDidChangeConfiguration(again),
    ];
  }

  /** What the server told last. */
  get status(): Status {
    return this.#status;
  }

  /** What a person sees: the language in front of them may be turned off. */
  get shown(): Status {
    const document = vscode.window.activeTextEditor?.document;
    const isWell = this.#status.state === "idle" || this.#status.state === "thinking";
    return isWell && document && isOff(document)
      ? { state: "off", message: `${document.languageId} is in completion.languages_off` }
      : this.#status;
  }

  show(told: Status): void {
    this.#status = told;
    const status = this.shown;
    this.#item.text = `${ICONS[status.state]} fimls`;
    this.#item.accessibilityInformation = { label: `fimls: ${WORDS[status.state]}` };
    const tooltip = new vscode.MarkdownString();
    tooltip.appendMarkdown("**fimls** ");
    tooltip.appendText(WORDS[status.state]);
    for (const line of [status.message, status.nextStep, status.model && `model ${status.model}`]) {
      if (line) {
        tooltip.appendMarkdown("\n\n");
        tooltip.appendText(line);
      }
    }
    this.#item.tooltip = tooltip;
    this.#item.backgroundColor =
      status.state === "error" ? new vscode.ThemeColor("statusBarItem.warningBackground") : undefined;
  }

  dispose(): void {
    this.#subscriptions.forEach((it) => void it.dispose());
    this.#item.dispose();
  }
}
