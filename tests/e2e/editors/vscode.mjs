// Drives one VS Code window in headless Chromium. Commands come as JSON lines on standard input,
// each is answered by one line on standard output: {"ok": value} or {"error": text}.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const [modules, chromium, address] = process.argv.slice(2);
const { chromium: browserType } = createRequire(`${modules}/`)("playwright-core");
const browser = await browserType.launch({
  executablePath: chromium,
  args: [
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
const page = await browser.newPage({ viewport: { width: 1000, height: 560 }, deviceScaleFactor: 1 });
page.setDefaultTimeout(60_000);

// Monaco draws spaces as no-break spaces.
const plain = (text) => text.replaceAll("\u00a0", " ").replaceAll("\u200c", "");

const GHOST = ".ghost-text-decoration, .ghost-text-decoration-preview, "
  + ".suggest-preview-text .view-line, .ghost-text .view-line";

// Ghost text as a person reads it, from top to bottom; a function of the page itself.
await page.addInitScript((selector) => {
  window.fimlsGhost = () => {
    const parts = [...document.querySelectorAll(selector)]
      .map((node) => ({ text: node.textContent ?? "", at: node.getBoundingClientRect() }))
      .filter(({ at }) => at.width > 0)
      .sort((a, b) => a.at.y - b.at.y || a.at.x - b.at.x);
    const lines = new Map();
    for (const { text, at } of parts) {
      const y = Math.round(at.y);
      lines.set(y, (lines.get(y) ?? "") + text);
    }
    return [...lines.values()].join("\n");
  };
}, GHOST);

const actions = {
  async open({ url }) {
    await page.goto(`${address}${url}`, { waitUntil: "domcontentloaded" });
    await page.locator(".monaco-editor .view-lines").first().waitFor();
  },
  async focus() {
    await page.locator(".monaco-editor .view-lines").first().click();
  },
  async press({ keys }) {
    for (const key of keys) {
      await page.keyboard.press(key);
    }
  },
  async type({ text, delay }) {
    await page.keyboard.type(text, { delay: delay ?? 30 });
  },
  async ghost() {
    return plain(await page.evaluate(() => window.fimlsGhost()));
  },
  async text({ selector }) {
    return (await page.locator(selector).allTextContents()).map(plain);
  },
  async attribute({ selector, name }) {
    const found = page.locator(selector).first();
    return (await found.count()) ? await found.getAttribute(name) : null;
  },
  async click({ selector }) {
    await page.locator(selector).first().click();
  },
  // A command of the palette, by its whole title: other commands' titles may begin with it.
  async command({ title }) {
    await page.keyboard.press("F1");
    await page.locator(".quick-input-widget input").first().waitFor();
    await page.keyboard.type(title);
    await actions.choose({ label: title });
  },
  // An entry of the list that is open.
  async choose({ label }) {
    await page
      .locator(".quick-input-list .monaco-list-row")
      .filter({ has: page.locator(".label-name").getByText(label, { exact: true }) })
      .first()
      .click();
  },
  // From now on the ghost text of every frame that is drawn; `seen` ends it and tells.
  async watch() {
    await page.evaluate(() => {
      const frames = (window.fimlsFrames = []);
      const look = () => {
        if (window.fimlsFrames !== frames) {
          return;
        }
        frames.push(window.fimlsGhost());
        requestAnimationFrame(look);
      };
      look();
    });
  },
  async seen() {
    const frames = await page.evaluate(() => {
      const found = window.fimlsFrames;
      window.fimlsFrames = undefined;
      return found;
    });
    return frames.map(plain);
  },
  async picture({ path }) {
    await page.screenshot({ path });
  },
  async paste({ text }) {
    await page.evaluate((pasted) => {
      const data = new DataTransfer();
      data.setData("text/plain", pasted);
      document.activeElement.dispatchEvent(
        new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    }, text);
  },
};

console.log(JSON.stringify({ ok: "ready" }));
for await (const line of createInterface({ input: process.stdin })) {
  const { action, ...given } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ ok: (await actions[action](given)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error.message ?? error).split("\n")[0] }));
  }
}
await browser.close();
