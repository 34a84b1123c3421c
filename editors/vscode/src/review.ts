// Review by commands of the palette; the same is offered as code actions by the server itself.
import * as vscode from "vscode";

/** Commands of the palette: the server's command behind each, and what is to be reviewed. */
const COMMANDS: Record<string, [command: string, what?: string]> = {
  "fimls.reviewFunction": ["fimls.review", "function"],
  "fimls.reviewSelection": ["fimls.review", "selection"],
  "fimls.reviewFile": ["fimls.review", "file"],
  "fimls.reviewChanges": ["fimls.review", "changes"],
  "fimls.explainHere": ["fimls.explainCode"],
  "fimls.documentHere": ["fimls.document"],
};

/** Handlers by the names that package.json lists; `execute` asks the server. */
export function reviewCommands(
  execute: (command: string, argument: object) => Promise<unknown>,
): Record<string, () => Promise<unknown>> {
  const here = async (command: string, what?: string): Promise<unknown> => {
    const editor = vscode.window.activeTextEditor;
    if (!editor) {
      return vscode.window.showInformationMessage("fimls: open a file first.");
    }
    const { start, end } = editor.selection;
    const range = {
      start: { line: start.line, character: start.character },
      end: { line: end.line, character: end.character },
    };
    return execute(command, { uri: editor.document.uri.toString(), range, what });
  };
  return {
    ...Object.fromEntries(
      Object.entries(COMMANDS).map(([name, [command, what]]) => [name, () => here(command, what)]),
    ),
    "fimls.stopReview": () => execute("fimls.cancelReview", {}),
    "fimls.removeFindings": () => execute("fimls.clearFindings", {}),
  };
}
