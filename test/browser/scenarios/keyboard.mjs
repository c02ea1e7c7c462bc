// Nothing needs a mouse: Tab, Enter and typing go from the newspaper to a coin, and the focus can always be seen.
import assert from 'node:assert/strict';
import { Reader } from '../lib.mjs';

export default async function play(world) {
  const [post] = world.news;
  const reader = await Reader.come(world);
  const { keyboard } = reader.page;
  const go = async (role, name, status = 200) => {
    await reader.visit(reader.page.url().split('#')[0]);  // the focus at the page's beginning
    await reader.everyStop();
    assert.equal(await reader.followByKey(role, name), status);
  };

  await reader.visit(post.url('/'));
  await go('link', 'The night ferry sails again', 402);
  await go('link', 'Get an e-wallet');
  await go('button', 'Sign up');
  await reader.everyStop();
  assert.equal(await reader.followByKey('link', 'I have written it down'), 200);
  await reader.everyStop();
  await reader.tabTo('textbox', 'Voucher code');
  await keyboard.type(world.mint('2.00'));
  assert.equal(await reader.submitByKey(), 200);
  await reader.reads('$2.00 added to your balance');
  await go('link', 'Coins');
  await reader.everyStop();
  await reader.tabTo('combobox', 'Worth');
  await keyboard.type('$1.00 in steps of 0.1');
  assert.equal(await reader.followByKey('button', 'Buy'), 200);
  await reader.reads('The coin is yours');
  await reader.everyStop();
  await reader.leave();
}
