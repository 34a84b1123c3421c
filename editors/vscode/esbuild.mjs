// One file for the extension host; `vscode` is the only module that it provides.
import { cp, rm } from "node:fs/promises";
import { build } from "esbuild";

// The server that belongs to this extension, for pip to install when somebody asks for it.
const source = process.env.FIMLS_SOURCE ?? "../..";
await rm("server", { recursive: true, force: true });
for (const name of ["fimls", "templates", "pyproject.toml", "README.md", "LICENSE"]) {
  const filter = (path) => !/__pycache__|\.pyc$/.test(path);
  await cp(`${source}/${name}`, `server/${name}`, { recursive: true, filter });
}

await build({
  entryPoints: ["src/extension.ts"],
  outfile: "dist/extension.js",
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20",
  external: ["vscode"],
  minify: process.argv.includes("--minify"),
  logLevel: "warning",
});
