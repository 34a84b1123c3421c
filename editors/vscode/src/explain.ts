// The answer of the server's `fimls.explain` as Markdown.

export interface Explained {
  readonly uri: string;
  readonly text: string;
  readonly prompt: string;
  readonly [fact: string]: unknown;
}

// In the order of reading; the server may tell more.
const FACTS = [
  "stop_reason", "cached", "is_part", "model", "template", "language", "n_prompt", "n_evaluated",
  "n_generated", "n_discarded", "t_first_token_ms", "t_total_ms", "t_scope_ms",
  "session",
];

/** The last completion: its text, why it stopped, what it cost, the whole prompt. */
export function explanation(facts: Explained): string {
  const told = FACTS.filter((name) => facts[name] !== undefined && facts[name] !== null);
  return [
    "# The last completion", "", facts.uri, "",
    "## Text", "", fenced(facts.text), "",
    "## Facts", "", ...told.map((name) => `- ${name}: ${shown(name, facts[name])}`), "",
    "## Prompt", "", fenced(facts.prompt), "",
  ].join("\n");
}

function shown(name: string, value: unknown): string {
  return typeof value === "number" && name.startsWith("t_") ? value.toFixed(1) : String(value);
}

/** A fence longer than any in the text, so that code in Markdown ends where it should. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}
