// Two newspapers with the extension: a first page, more pages, pages without asking, the next newspaper, running out,
// more coins, and the rest taken to the command line's wallet.
import assert from 'node:assert/strict';
import path from 'node:path';
import { Reader } from '../lib.mjs';
import { Extension } from '../extension.mjs';

export default async function play(world) {
  const [post, courier] = world.news;
  const reader = await Reader.come(world, { extension: world.extension });
  const wallet = await Extension.of(reader);
  const { page } = reader;

  /** The extension's settings, and what its button opens, with what they show now. */
  const settings = async (step) => {
    await reader.shot(step, await wallet.options());
    await page.bringToFront();
  };
  const popup = async (step) => {
    const own = await wallet.popup();
    await page.bringToFront();
    await own.reload();
    await reader.shot(step, own);
    await own.close();
  };
  /** A click on the extension's button once it offers to pay that much. */
  const pay = async (price) => {
    await wallet.offers(price);
    await wallet.press();
  };
  /** Goes to a page that asks for money, and pays it. */
  const read = (paper, target, price, heading, text) => reader.cost(async () => {
    assert.equal(await reader.visit(paper.url(target)), 402);
    await pay(price);
    await reader.shows(heading, text);
  });

  await wallet.fund(world.broker.issuer, world.mint('1.00'), '0.10');
  await settings('settings');

  const free = await reader.cost(() => reader.visit(post.url('/notices/weather.html')));
  world.row('extension', 'free page', free);

  // One click pays; the page is there at the address that was asked for.
  const first = await reader.cost(async () => {
    assert.equal(await reader.visit(`${post.url('/articles/ferry.html')}#fares`), 402);
    await reader.shot('paywall');
    await pay('2¢');
    await reader.shows('The night ferry sails again', 'six winters');
  });
  assert.equal(page.url(), `${post.url('/articles/ferry.html')}#fares`);
  world.row('extension', 'first page', first);
  await wallet.shows(/^Paid 2 ¢ .* Balance 8 ¢/);
  await reader.shot('paid');
  await popup('button');
  const next = await read(post, '/articles/bakers.html', '2¢', /^Why the bread went up/, 'The cooperative on Mill Street');
  world.row('extension', 'next page, asked', next);

  // Free for a while: the same page again, typed, reloaded, and by the browser's way back.
  const again = await reader.cost(async () => {
    await reader.visit(post.url('/articles/ferry.html'));
    await reader.shows('The night ferry sails again', 'six winters');
  });
  world.row('extension', 'the same page again', again);
  await page.reload();
  await reader.shows('The night ferry sails again', 'six winters');
  await page.goBack();
  await reader.shows(/^Why the bread went up/, 'The cooperative on Mill Street');
  await post.charged(1, '/articles/ferry.html');
  await post.charged(1, '/articles/bakers.html');

  // The other newspaper takes the coin over.
  const site = await read(courier, '/articles/library.html', '2¢', 'The library lends its roof', 'Soil is brought up');
  world.row('extension', 'next site', site);

  // Without asking, as far as she allowed it, where she follows a link of the newspaper.
  await wallet.limits({ automatic: true });
  await page.bringToFront();
  await reader.visit(courier.url('/'));
  const alone = await reader.cost(async () => {
    await wallet.follow(reader.get('link', 'Under-twelves beat the harbour masters'));
    await reader.shows('Under-twelves beat the harbour masters', 'The longest game took');
  });
  world.row('extension', 'next page, automatic', alone);
  await courier.charged(2);
  await wallet.limits({ automatic: false });
  await page.bringToFront();

  // Two cents are left, and the page costs five: nothing is taken, and the button says why.
  const after = await reader.cost(async () => {
    assert.equal(await reader.visit(courier.url('/features/tides.html')), 402);
    await wallet.shows(/5 ¢.*you have 2 ¢/);
    await reader.shot('run-out');
    await courier.charged(2);
    await popup('run-out-button');
    reader.clicks += 3;  // the button, its "Money, coins and settings", and there "Buy"
    await wallet.buy('0.10');
    await page.bringToFront();
    await pay('5¢');
    await reader.shows(/^Long read: how a village/, 'The cable went in after all');
  });
  world.row('extension', 'after running out', after);
  await courier.charged(1, '/features/tides.html');
  await settings('settings-after');

  // What is left is spent by the command line's wallet.
  const store = world.temporary('store');
  const file = path.join(store, 'coins.ndjson');
  const own = await wallet.options();
  await own.getByRole('button', { name: 'Export all coins' }).click();
  const download = own.waitForEvent('download');
  await own.getByRole('link', { name: 'Save the export' }).click();
  const saved = await download;
  await saved.saveAs(file);
  world.netpay(store, ['import', file]);
  assert.match(world.netpay(store, ['get', '--yes', '--max-price', '0.05', post.url('/articles/library.html')]), /<h1>/);

  // What the issue asks for: a first page within two clicks, a further page one or none.
  assert.ok(first.clicks <= 2 && site.clicks <= 2, 'a first page at a site within two clicks');
  assert.ok(next.clicks <= 1 && again.clicks === 0 && alone.clicks === 0, 'further pages by one click or none');
  assert.equal(again.trips, free.trips, 'a page that is read again costs the round trips of a free one');
  assert.ok(first.trips <= 2 && next.trips <= 2, 'a payment is one reload');
  assert.equal(free.trips, 1);
  assert.equal(alone.trips, free.trips, 'a page that is paid unasked costs the round trips of a free one');
  await reader.leave();
}
