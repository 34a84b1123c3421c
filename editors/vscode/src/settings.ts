// What of the user's settings is sent to the server: only what somebody set.
import * as vscode from "vscode";

/**
 * The `fimls.*` settings that differ from nothing: VS Code would send the default of every
 * option too, and so override the user's own fimls.toml with it.
 */
export function explicitSettings(keys: readonly string[], scope?: vscode.Uri): object {
  const settings = vscode.workspace.getConfiguration("fimls", scope ?? null);
  const found: Record<string, Record<string, unknown>> = {};
  for (const key of keys) {
    const [section, name] = key.split(".");
    const known = settings.inspect(key);
    const value =
      known?.workspaceFolderLanguageValue ?? known?.workspaceFolderValue ??
      known?.workspaceLanguageValue ?? known?.workspaceValue ??
      known?.globalLanguageValue ?? known?.globalValue;
    if (section && name && value !== undefined) {
      (found[section] ??= {})[name] = value;
    }
  }
  return found;
}

/** The server's own options: all that package.json declares but `client` and `trace`. */
export function serverKeys(context: vscode.ExtensionContext): string[] {
  const groups = context.extension.packageJSON.contributes.configuration as {
    properties: Record<string, unknown>;
  }[];
  return groups
    .flatMap((group) => Object.keys(group.properties))
    .map((key) => key.replace(/^fimls\./, ""))
    .filter((key) => !key.startsWith("client.") && !key.startsWith("trace."));
}
