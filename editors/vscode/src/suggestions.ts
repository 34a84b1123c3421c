// When the server is asked for suggestions, beyond what VS Code asks by itself, and what of them stays.
import * as vscode from "vscode";
import type { LanguageClient, Middleware } from "vscode-languageclient/node";
import { isOff } from "./status";
import { LastChange } from "./typing";

const AUTOMATIC = vscode.InlineCompletionTriggerKind.Automatic;

/** A completion of which the beginning was answered is whole. */
export interface Grown {
  readonly uri: string;
  readonly version: number;
  readonly changed: boolean;
}

/** What suggestions need to know of the extension. */
export interface Host {
  readonly client: LanguageClient | undefined;
  readonly log: vscode.LogOutputChannel;
  /** Whether the engine answers. */
  readonly isReady: boolean;
}

export class Suggestions implements vscode.Disposable {
  readonly #host: Host;
  readonly #changes = new LastChange();
  #shown: { document: vscode.TextDocument; position: vscode.Position } | undefined;
  #asksAgain = false; // by the command for asking by hand, since there is no other
  #runs = 0; // of servers, as far as they have come to know the open documents

  constructor(host: Host) {
    this.#host = host;
  }

  /** A server runs and knows the open documents. */
  started(): void {
    this.#runs += 1;
    this.askAgain();
  }

  /** What was typed while there was nobody to answer is asked for now, if the cursor is there. */
  askAgain(): void {
    const editor = vscode.window.activeTextEditor;
    if (this.#host.isReady && editor && this.#changes.isWaiting(editor)) {
      this.#ask();
    }
  }

  /** The whole is there of what is shown in part; what was dismissed stays away. */
  async grow(grown: Grown): Promise<void> {
    if (grown.changed && this.#isShown(grown)) {
      // VS Code keeps what it shows as long as it fits, and the beginning does.
      await this.hide();
      this.#ask();
    }
  }

  /** Hides what is suggested, as Escape does; it does not come back grown. */
  hide(): Thenable<unknown> {
    this.#shown = undefined;
    return vscode.commands.executeCommand("editor.action.inlineSuggest.hide");
  }

  readonly provide: NonNullable<Middleware["provideInlineCompletionItems"]> = async (
    document,
    position,
    context,
    token,
    next,
  ) => {
    const automatic = context.triggerKind === AUTOMATIC || this.#asksAgain;
    this.#asksAgain = false;
    const reason = automatic ? this.#changes.reasonOff(document, position) : undefined;
    if (reason !== undefined) {
      this.#host.log.trace(`not asked: ${reason}`);
      return [];
    }
    if (!this.#host.client?.isRunning() || isOff(document)) {
      return null; // the client would wait, and ask for a document that is not open yet
    }
    const { version } = document;
    const runs = this.#runs;
    const kind = automatic ? { ...context, triggerKind: AUTOMATIC } : context;
    const found = await next(document, position, kind, token);
    // null is the client's own answer to what was cancelled or met the server's end.
    if (found !== null && runs === this.#runs && this.#host.isReady) {
      this.#changes.answered(document, version);
    }
    const items = Array.isArray(found) ? found : (found?.items ?? []);
    this.#shown = items.length ? { document, position } : undefined;
    this.#changes.offered(items.map((item) => text(item.insertText)).join("\n"));
    return found;
  };

  dispose(): void {
    this.#changes.dispose();
  }

  /** Asks for what the editor asks for by itself only when something is typed. */
  #ask(): void {
    this.#asksAgain = true;
    void vscode.commands.executeCommand("editor.action.inlineSuggest.trigger");
  }

  #isShown({ uri, version }: Grown): boolean {
    const editor = vscode.window.activeTextEditor;
    const shown = this.#shown;
    return (
      editor !== undefined &&
      shown !== undefined &&
      shown.document === editor.document &&
      editor.document.version === version &&
      this.#host.client?.code2ProtocolConverter.asUri(editor.document.uri) === uri &&
      shown.position.isEqual(editor.selection.active)
    );
  }
}

function text(inserted: string | vscode.SnippetString): string {
  return typeof inserted === "string" ? inserted : inserted.value;
}
