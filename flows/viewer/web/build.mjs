// Builds ../static from src. `--check` fails where the committed files are not what the source builds; `--tests` bundles
// the tests for node's own test runner.
import { build } from "esbuild";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "static");

const bundle = {
  absWorkingDir: here,
  bundle: true,
  entryPoints: { viewer: "src/main.ts" },
  outdir: join(target, "assets"),
  format: "esm",
  target: ["es2022"],
  minify: true,
  charset: "utf8",
  legalComments: "none",
  write: false,
  logLevel: "warning",
};

async function built() {
  const scripts = await build(bundle);
  const styles = await build({ ...bundle, entryPoints: { viewer: "src/style/main.css" } });
  const files = [...scripts.outputFiles, ...styles.outputFiles].map((file) => [file.path, file.text]);
  files.push([join(target, "index.html"), await readFile(join(here, "src/index.html"), "utf8")]);
  files.push([join(target, "assets/icon.svg"), await readFile(join(here, "src/icon.svg"), "utf8")]);
  const licence = await readFile(join(here, "node_modules/openseadragon/LICENSE.txt"), "utf8");
  files.push([join(target, "assets/openseadragon-LICENSE.txt"), licence]);
  return files;
}

async function tests() {
  const names = (await readdir(join(here, "tests"))).filter((name) => name.endsWith(".test.ts"));
  await build({
    absWorkingDir: here,
    bundle: true,
    entryPoints: names.map((name) => `tests/${name}`),
    outdir: "build",
    outExtension: { ".js": ".mjs" },
    format: "esm",
    platform: "node",
    logLevel: "warning",
  });
}

async function check(files) {
  const stale = [];
  for (const [path, text] of files) {
    const committed = await readFile(path, "utf8").catch(() => null);
    if (committed !== text) stale.push(path);
  }
  if (stale.length > 0) {
    console.error(`not what the source builds: ${stale.join(", ")}\nrun \`npm run build\` in flows/viewer/web and commit static/`);
    process.exit(1);
  }
}

if (process.argv.includes("--tests")) await tests();
else if (process.argv.includes("--check")) await check(await built());
else {
  await mkdir(join(target, "assets"), { recursive: true });
  for (const [path, text] of await built()) await writeFile(path, text);
}
