// Long work of the server (a download, a review) as a notification with a Cancel button.
import * as vscode from "vscode";
import type {
  ProgressToken,
  WorkDoneProgressBegin,
  WorkDoneProgressEnd,
  WorkDoneProgressReport,
} from "vscode-languageclient/node";

type Told = WorkDoneProgressBegin | WorkDoneProgressReport | WorkDoneProgressEnd;

interface Shown {
  readonly tell: (told: WorkDoneProgressReport) => void;
  readonly end: () => void;
}

/** What the client would hide in the status bar is shown where it can be cancelled. */
export class Notifications {
  readonly #shown = new Map<ProgressToken, Shown>();

  /** `cancel` tells the server. Returns whether this progress is shown here. */
  take(token: ProgressToken, told: Told, cancel: () => void): boolean {
    if (told.kind === "begin" && told.cancellable) {
      this.#shown.set(token, begin(told, cancel));
      return true;
    }
    const shown = this.#shown.get(token);
    if (shown && told.kind === "report") {
      shown.tell(told);
    } else if (shown && told.kind === "end") {
      this.#shown.delete(token);
      shown.end();
    }
    return shown !== undefined;
  }

  /** The server has ended: nothing of it goes on. */
  end(): void {
    for (const shown of this.#shown.values()) {
      shown.end();
    }
    this.#shown.clear();
  }
}

function begin({ title }: WorkDoneProgressBegin, cancel: () => void): Shown {
  let shown: vscode.Progress<{ message?: string; increment?: number }> | undefined;
  let percentage = 0;
  let end = (): void => undefined;
  const done = new Promise<void>((resolve) => (end = resolve));
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  void vscode.window.withProgress(options, (progress, token) => {
    shown = progress;
    token.onCancellationRequested(cancel);
    return done;
  });
  return {
    tell: (told) => {
      const increment = Math.max(0, (told.percentage ?? 0) - percentage);
      percentage += increment;
      shown?.report({ message: told.message ?? "", increment });
    },
    end: () => end(),
  };
}
