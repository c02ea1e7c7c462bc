// node run.mjs SCENARIO ENV.json: plays one scenario; its rows of the table and its steps as JSON, exit status 0 if
// all of it held.
import process from 'node:process';
import { World } from './lib.mjs';

const [scenario, file] = process.argv.slice(2);
const world = new World(file, scenario);
const { default: play } = await import(`./scenarios/${scenario}.mjs`);
const begun = Date.now();
try {
  await play(world);
} catch (error) {
  for (const reader of world.readers) {
    console.error(`at ${reader.page.url()} after ${reader.steps.at(-1) ?? 'nothing'}:\n${reader.faults.join('\n')}`);
    await reader.close();
  }
  throw error;
}
process.stdout.write(`${JSON.stringify({ scenario, rows: world.rows, milliseconds: Date.now() - begun })}\n`);
