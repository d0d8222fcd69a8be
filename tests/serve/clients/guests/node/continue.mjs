// Continue's command line, npm `@continuedev/cli`, headless: through Ollama's API, as `groundup connect continue` sets it up, and OpenAI's.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import test from "node:test";
import { promisify } from "node:util";

const address = process.env.GROUNDUP_ADDRESS;
const command = resolve("node_modules/.bin/cn");
const bases = { ollama: address, openai: `${address}/v1` };

async function ask(provider, model, ...options) {
  const folder = await mkdtemp(join(tmpdir(), "continue-"));
  const lines = [
    "name: groundup",
    "version: 0.0.1",
    "schema: v1",
    "models:",
    `  - name: ${model}`,
    `    provider: ${provider}`,
    `    model: ${model}`,
    `    apiBase: ${bases[provider]}`,
    "    apiKey: any",
    "    defaultCompletionOptions:",
    "      temperature: 0",
  ];
  await writeFile(join(folder, "config.yaml"), lines.join("\n"));
  const running = promisify(execFile)(command, ["--config", "config.yaml", ...options, "-p", "Hello"], {
    cwd: folder,
    env: { ...process.env, CONTINUE_TELEMETRY_ENABLED: "0" },
    timeout: 120_000,
  });
  running.child.stdin.end();
  return running;
}

for (const provider of Object.keys(bases)) {
  test(`${provider}: an answer`, async () => {
    assert.equal((await ask(provider, "greeter")).stdout.trim(), "Good day to you.");
  });
}

test("an answer as JSON", async () => {
  const { response } = JSON.parse((await ask("openai", "greeter", "--format", "json")).stdout);
  assert.equal(response, "Good day to you.");
});

test("an unknown model is said", async () => {
  const failed = await ask("openai", "nobody").catch((error) => error);
  assert.match(`${failed.stdout}${failed.stderr}`, /not found/);
});
