// Tells typing from everything else that changes text, so that only typing asks for suggestions.
import * as vscode from "vscode";

// More new characters at one stroke than an abbreviation or a closing pair brings.
const TYPED_AT_ONCE = 12;
// What a completion menu inserts: a name, with or without its brackets.
const NAME = /^[\w$]+[()]*$/;

/** The text that a keystroke left behind, where and in which version of the document. */
interface Keystroke {
  readonly document: vscode.TextDocument;
  readonly version: number;
  readonly range: vscode.Range;
}

/** Remembers, per document, how the last change came about. */
export class LastChange implements vscode.Disposable {
  readonly #notTyped = new WeakSet<vscode.TextDocument>();
  readonly #subscription: vscode.Disposable;
  #accepted = "";
  #unanswered: Keystroke | undefined;

  constructor() {
    this.#subscription = vscode.workspace.onDidChangeTextDocument((event) => {
      if (event.contentChanges.length === 0) {
        return; // only the dirty flag
      }
      const [change] = event.contentChanges;
      this.#unanswered = undefined;
      if (!this.#isTyped(event)) {
        this.#notTyped.add(event.document);
        return;
      }
      this.#notTyped.delete(event.document);
      if (change && event.contentChanges.length === 1) {
        const { document } = event;
        const end = document.positionAt(change.rangeOffset + change.text.length);
        const range = new vscode.Range(change.range.start, end);
        this.#unanswered = { document, version: document.version, range };
      }
    });
  }

  /** The text of a suggestion that is about to be accepted: not a paste, however long. */
  offered(text: string): void {
    this.#accepted = text;
  }

  /** The server has said what there is to say about a version of a document. */
  answered(document: vscode.TextDocument, version: number): void {
    if (this.#unanswered?.document === document && this.#unanswered.version <= version) {
      this.#unanswered = undefined;
    }
  }

  /** Whether the last keystroke was made where the cursor is, and got no answer. */
  isWaiting(editor: vscode.TextEditor): boolean {
    const last = this.#unanswered;
    return (
      last?.document === editor.document &&
      last.version === editor.document.version &&
      last.range.contains(editor.selection.active)
    );
  }

  #isTyped(event: vscode.TextDocumentChangeEvent): boolean {
    if (event.reason !== undefined) {
      return false; // undo or redo
    }
    return event.contentChanges.every(({ text }) => {
      const added = text.trim();
      return added.length <= TYPED_AT_ONCE || NAME.test(added) || this.#accepted.includes(added);
    });
  }

  /** Why nothing should be suggested here by itself, or undefined. */
  reasonOff(document: vscode.TextDocument, position: vscode.Position): string | undefined {
    if (this.#notTyped.has(document)) {
      return "pasted or undone";
    }
    const editor = vscode.window.activeTextEditor;
    if (editor?.document === document && editor.selections.length > 1) {
      return "several cursors";
    }
    const word = document.getWordRangeAtPosition(position);
    if (word && word.start.isBefore(position) && word.end.isAfter(position)) {
      return "inside a word";
    }
    return undefined;
  }

  dispose(): void {
    this.#subscription.dispose();
  }
}
