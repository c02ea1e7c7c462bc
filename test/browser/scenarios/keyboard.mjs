// Nothing needs a mouse: Tab, Enter and typing go from the newspaper to an e-wallet, a page that is paid with it, a coin,
// and out of the e-wallet again; and the focus can always be seen.
import assert from 'node:assert/strict';
import { EWallet } from '../ewallet.mjs';
import { Reader } from '../lib.mjs';

export default async function play(world) {
  const [post] = world.news;
  const reader = await Reader.come(world);
  const wallet = new EWallet(reader, 'server');
  const { keyboard } = reader.page;
  const here = async (role, name, status = 200) => {
    await reader.everyStop();
    assert.equal(await reader.followByKey(role, name), status);
  };
  const go = async (role, name, status) => {
    await reader.visit(reader.page.url().split('#')[0]);  // the focus at the page's beginning
    await here(role, name, status);
  };

  await reader.visit(post.url('/'));
  await go('link', 'The night ferry sails again', 402);
  await go('link', 'Get an e-wallet');
  await go('button', 'Sign up');
  await here('link', 'I have written it down');
  await reader.everyStop();
  await reader.tabTo('textbox', 'Voucher code');
  await keyboard.type(world.mint('2.00'));
  assert.equal(await reader.submitByKey(), 200);
  await reader.reads('$2.00 added to your balance');
  await here('link', `Back to ${post.origin}`, 402);
  await here('button', 'Pay 2 ¢ with my e-wallet');
  await here('button', 'Confirm and read');
  await wallet.reads(post, '/articles/ferry.html');
  assert.equal(await wallet.look(post), 200);
  await here('button', 'Sign out');

  await reader.visit(`${world.broker.issuer}/coins`);
  await reader.everyStop();
  await reader.tabTo('combobox', 'Worth');
  await keyboard.press('Home');
  const chosen = () => reader.page.locator('select:focus').evaluate((select) => select.selectedOptions[0].text);
  for (let i = 0; !(await chosen()).startsWith('20 ¢ in steps'); ++i) {
    assert.ok(i < 20, 'coins worth 20 ¢ are sold');
    await keyboard.press('ArrowDown');
  }
  assert.equal(await reader.followByKey('button', 'Buy'), 200);
  await reader.reads('The coin is yours');
  await reader.everyStop();
  await reader.leave();
}
