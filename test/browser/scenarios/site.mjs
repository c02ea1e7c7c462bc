// The broker's site from the first visit on, without any script: an account with nothing but seven words, money by
// voucher, coins, where they are, history, return, export and import.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Reader } from '../lib.mjs';

export default async function play(world) {
  const [post] = world.news;
  const reader = await Reader.come(world);
  const { page } = reader;

  // From a page that she cannot read yet.
  assert.equal(await reader.visit(post.url('/articles/ferry.html')), 402);
  assert.equal(await reader.follow('link', 'Get an e-wallet'), 200);
  assert.equal(new URL(page.url()).origin, world.broker.issuer);
  await reader.shot('sign-up');
  assert.equal(await reader.follow('button', 'Sign up'), 200);
  await reader.shot('passphrase');
  const phrase = (await page.locator('.phrase').innerText()).trim();
  assert.match(phrase, /^([a-z]+ ){6}[a-z]+$/);
  assert.equal(await reader.follow('link', 'I have written it down'), 200);

  // Money.
  await reader.shot('add-money');
  await reader.fill('Voucher code', 'ABCD');
  assert.ok((await reader.follow('button', 'Add money')) >= 400);
  await reader.shot('voucher-refused');
  await reader.fill('Voucher code', world.mint('5.00'));
  assert.equal(await reader.follow('button', 'Add money'), 200);
  await reader.reads('$5.00 added to your balance');
  await reader.shot('voucher-taken');

  // The words are shown once; they are all that is needed to come back.
  assert.equal(await reader.follow('button', 'Sign out'), 200);
  await reader.shot('home');
  assert.ok(!(await reader.text()).includes(phrase));
  assert.equal(await reader.visit(`${world.broker.issuer}/account`), 200);
  assert.equal(new URL(page.url()).pathname, '/sign-in');
  await reader.fill('Your passphrase, seven words', 'one two three four five six seven');
  assert.equal(await reader.follow('button', 'Sign in'), 403);
  await reader.shot('sign-in-refused');
  await reader.fill('Your passphrase, seven words', ` ${phrase.toUpperCase().replaceAll(' ', '-')} `);
  assert.equal(await reader.follow('button', 'Sign in'), 200);
  assert.equal(new URL(page.url()).pathname, '/account');
  await reader.reads('$5.00');
  await reader.shot('account');

  // Coins.
  assert.equal(await reader.follow('link', 'Coins'), 200);
  await reader.shot('no-coins');
  await page.getByLabel('Worth').selectOption({ label: '$1.00 in steps of 0.1 ¢' });
  assert.equal(await reader.follow('button', 'Buy'), 200);
  await reader.reads('The coin is yours', 'No site holds it', '$4.00');
  await reader.shot('coin-bought');

  // To the command line's wallet, which spends of it at a newspaper.
  const store = world.temporary('store');
  const file = path.join(store, 'coins.ndjson');
  fs.writeFileSync(file, await reader.download('button', 'Download'));
  world.netpay(store, ['import', file]);
  assert.match(world.netpay(store, ['get', '--yes', '--max-price', '0.05', post.url('/articles/bakers.html')]), /<h1>/);
  assert.equal(await reader.visit(`${world.broker.issuer}/coins`), 200);
  await reader.reads('in your wallet', `At ${post.origin}`);
  await reader.shot('coin-exported');

  // And back.
  assert.equal(await reader.follow('link', 'Bring coins back from a wallet program'), 200);
  await reader.fill('The export', 'this is no export');
  assert.ok((await reader.follow('button', 'Import')) >= 400);
  await reader.shot('import-refused');
  const back = path.join(store, 'back.ndjson');
  world.netpay(store, ['export', '--move', back]);
  await reader.fill('The export', fs.readFileSync(back, 'utf8'));
  assert.equal(await reader.follow('button', 'Import'), 200);
  await reader.reads('One coin is kept here now');
  await reader.shot('coin-imported');

  // What is left is money again: all but the two cents of the page.
  assert.equal(await reader.follow('button', /^Return coin/), 200);
  await reader.reads('98 ¢ went back to your account', '$4.98');
  await reader.shot('coin-returned');
  // Sites claim what they sold, and then it is in her history.
  await post.redeem(20);
  assert.equal(await reader.follow('link', 'History'), 200);
  await reader.reads(post.origin, '2 ¢', 'Voucher', 'Coin bought', 'Coin returned');
  await reader.shot('history');
  assert.equal(await reader.follow('link', 'By day'), 200);
  await reader.reads('Spent by day', '2 ¢');
  await reader.shot('history-by-day');
  await reader.leave();
}
