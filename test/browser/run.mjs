// node run.mjs: plays scenarios, one for each line of standard input, which is JSON with all that the scenario needs
// to know. For each a line of JSON follows: {scenario, rows, milliseconds}, with `error` if it did not hold. The browser
// without the extension is the same for all of them; each scenario has profiles of its own in it.
import readline from 'node:readline';
import process from 'node:process';
import { World, endBrowser } from './lib.mjs';

async function played(given) {
  const world = new World(given);
  const begun = Date.now();
  const report = {};
  try {
    const { default: play } = await import(`./scenarios/${given.scenario}.mjs`);
    await play(world);
  } catch (error) {
    const where = world.readers.map((reader) =>
      `at ${reader.page?.url()} after ${reader.steps.at(-1) ?? 'nothing'}\n${reader.faults.join('\n')}`);
    report.error = `${error.stack}\n${where.join('\n')}`;
    for (const reader of world.readers) await reader.close().catch(() => undefined);
  }
  return { scenario: given.scenario, rows: world.rows, milliseconds: Date.now() - begun, ...report };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const report = await played(JSON.parse(line));
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
await endBrowser();
process.exit(0);  // whatever a scenario that failed has left open
