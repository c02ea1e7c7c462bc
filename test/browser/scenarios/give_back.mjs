// Pages that were opened by mistake are given back within the time that the newspaper allows: two a day, and each once.
import assert from 'node:assert/strict';
import { EWallet } from '../ewallet.mjs';
import { Reader } from '../lib.mjs';

export default async function play(world) {
  const [post] = world.news;
  const reader = await Reader.come(world);
  const wallet = new EWallet(reader, 'server');
  const [ferry, bakers, library] = ['/articles/ferry.html', '/articles/bakers.html', '/articles/library.html'];
  await wallet.signUp(post, ferry, '1.00');
  assert.equal(await wallet.fetch('2 ¢'), 200);
  assert.equal(await wallet.confirm(), 200);
  for (const target of [bakers, library]) {
    assert.equal(await wallet.open(post, target), 200);
    await wallet.reads(post, target);
  }

  const giveBack = (target) => reader.follow('button', `Give back ${target}`);
  assert.equal(await wallet.look(post), 200);
  await reader.reads('94 ¢', ferry, bakers, library);
  await reader.shot('paid-lately');
  assert.equal(await giveBack(ferry), 200);
  await reader.reads('You got 2 ¢ back', '96 ¢');
  await reader.shot('given-back');

  // It is sold again if she says so, and then is hers.
  assert.equal(await wallet.open(post, ferry), 402);
  assert.equal(await reader.follow('button', 'Read for 2 ¢'), 200);
  await wallet.reads(post, ferry, 2);
  assert.equal(await wallet.look(post), 200);
  await reader.reads('94 ¢');
  await giveBack(ferry);
  await reader.reads('That page was given back today');
  await reader.shot('not-twice');
  assert.equal(await giveBack(bakers), 200);
  await reader.reads('You got 2 ¢ back', '96 ¢');
  await giveBack(library);
  await reader.reads('No more pages can be given back today', '96 ¢');
  await reader.leave();
}
