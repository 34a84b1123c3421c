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

export class StatusBar implements vscode.Disposable {
  readonly #item = vscode.window.createStatusBarItem("fimls", vscode.StatusBarAlignment.Right, 100);
  #status: Status = { state: "loading", message: "the server is starting" };

  constructor() {
    this.#item.name = "fimls";
    this.#item.command = "fimls.menu";
    this.show(this.#status);
    this.#item.show();
  }

  get status(): Status {
    return this.#status;
  }

  show(status: Status): void {
    this.#status = status;
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
    this.#item.dispose();
  }
}
