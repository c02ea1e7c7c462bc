// Waiting, as long as the machine's load makes it right.
import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** How many times longer than on an idle machine something may take here and now. */
export const patience = () => Math.max(1, os.loadavg()[0] / os.availableParallelism());

/** Polls until `condition` gives something true, and gives that; an error after that time of an idle machine. */
export async function until(what, condition, milliseconds = 15000) {
  const end = Date.now() + milliseconds * patience();
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await sleep(50);
  }
}
