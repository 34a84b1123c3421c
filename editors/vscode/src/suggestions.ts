// When the server is asked for suggestions, beyond what VS Code asks by itself, and what of them stays.
import * as vscode from "vscode";
import { InlineCompletionRequest, type LanguageClient, type Middleware } from "vscode-languageclient/node";
import { isOff } from "./status";
import { LastChange } from "./typing";

const AUTOMATIC = vscode.InlineCompletionTriggerKind.Automatic;
const TRIGGER = "editor.action.inlineSuggest.trigger";

/** A completion of which the beginning was answered is whole. */
export interface Grown {
  readonly uri: string;
  readonly version: number;
  readonly changed: boolean;
}

/** What suggestions need to know of the extension. */
export interface Host {
  readonly client: LanguageClient | undefined;
  /** The extension's own identifier. */
  readonly id: string;
  readonly log: vscode.LogOutputChannel;
  /** Whether the engine answers. */
  readonly isReady: boolean;
}

export class Suggestions implements vscode.Disposable {
  readonly #host: Host;
  readonly #changes = new LastChange();
  #shown: { document: vscode.TextDocument; position: vscode.Position } | undefined;
  // What is asked for again: by the command for asking by hand, since there is no other.
  #again: { document: vscode.TextDocument; version: number } | undefined;
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
      this.#ask(editor.document);
    }
  }

  /** The whole is there of what is shown in part; what was dismissed stays away. */
  async grow(grown: Grown): Promise<void> {
    const document = this.#shown?.document;
    if (!document || !grown.changed || !this.#isShown(grown)) {
      return;
    }
    if (!(await this.#replace(document)) && this.#isShown(grown)) {
      await this.hide(); // for some frames nothing is shown
      this.#ask(document);
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
    const automatic = context.triggerKind === AUTOMATIC || this.#isAskedAgain(document);
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
  #ask(document: vscode.TextDocument): void {
    this.#again = { document, version: document.version };
    void vscode.commands.executeCommand(TRIGGER);
  }

  /** Whether it is we who ask, and not a person; a key's own request may come in between. */
  #isAskedAgain(document: vscode.TextDocument): boolean {
    const again = this.#again;
    this.#again = undefined;
    return again?.document === document && again.version === document.version;
  }

  /**
   * Puts the whole in the place of its beginning, in one frame; false where VS Code cannot.
   *
   * When asked by hand it keeps what it shows as long as it fits, and the beginning does. By itself
   * it asks no provider again whose answer it has, but that of another provider takes its place.
   * VS Code 1.139 is known to take the arguments that it takes; others ask by hand, or refuse.
   */
  async #replace(document: vscode.TextDocument): Promise<boolean> {
    const ours = this.#host.client?.getFeature(InlineCompletionRequest.method)?.getProvider(document);
    if (!ours) {
      return false;
    }
    let isAsked = false;
    const { languageId: language, uri } = document;
    const once = vscode.languages.registerInlineCompletionItemProvider(
      { language, scheme: uri.scheme },
      {
        provideInlineCompletionItems: (at, position, context, token) => {
          if (context.triggerKind !== AUTOMATIC) {
            return null;
          }
          isAsked = true;
          return ours.provideInlineCompletionItems(at, position, context, token);
        },
      },
    );
    try {
      await vscode.commands.executeCommand(TRIGGER, {
        explicit: false,
        providerId: `${this.#host.id}:*`,
      });
    } catch (error) {
      this.#host.log.debug(`not replaced: ${String(error)}`);
    } finally {
      once.dispose();
    }
    return isAsked;
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
