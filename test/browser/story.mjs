// The evaluation's story with an e-wallet of a plain browser: three articles at a newspaper, three at the next, running
// out, more money, both again, and an end.
import assert from 'node:assert/strict';
import { EWallet, WALLET_PAGE } from './ewallet.mjs';
import { Reader } from './lib.mjs';

/** `kind`: server or cookie; `browser`: what she reads with. */
export async function story(world, kind, browser = {}) {
  const [post, courier] = world.news;
  const reader = await Reader.come(world, browser);
  const wallet = new EWallet(reader, kind);
  const { page } = reader;
  const row = (act, cost) => world.row(kind, act, cost);

  // An account with twenty cents, from the paywall of the page that she wants.
  assert.equal(await reader.visit(post.url('/articles/ferry.html')), 402);
  await reader.shot('paywall');
  const phrase = await wallet.signUp(post, '/articles/ferry.html', '0.20');
  const free = await reader.cost(() => reader.visit(post.url('/notices/weather.html')));
  row('free page', free);

  // She confirms once, and the page opens where she was, to the fragment.
  const first = await reader.cost(async () => {
    assert.equal(await reader.visit(`${post.url('/articles/ferry.html')}#fares`), 402);
    assert.equal(await wallet.fetch('2 ¢'), 200);
    assert.equal(new URL(page.url()).origin, world.broker.issuer);
    await reader.reads(post.origin, '2 ¢');
    await reader.shot('confirm');
    assert.equal(await wallet.confirm(), 200);
  });
  assert.equal(page.url(), `${post.url('/articles/ferry.html')}#fares`);
  await wallet.reads(post, '/articles/ferry.html');
  await reader.shot('paid');
  row('first page', first);

  // Further pages debit it where she follows a link of the newspaper, and nothing is asked.
  await reader.visit(post.url('/'));
  const next = await reader.cost(() => reader.walk('The library lends its roof'));
  await wallet.reads(post, '/articles/library.html');
  row('next page, automatic', next);
  assert.equal(await wallet.open(post, '/articles/bakers.html'), 200);
  await wallet.reads(post, '/articles/bakers.html');

  // For a while the same page is free: typed, reloaded, by the way back.
  const again = await reader.cost(() => reader.visit(post.url('/articles/ferry.html')));
  await wallet.reads(post, '/articles/ferry.html');
  row('the same page again', again);
  await page.reload();
  await wallet.reads(post, '/articles/ferry.html');
  await page.goBack();
  await wallet.reads(post, '/articles/bakers.html');
  assert.equal(await wallet.look(post), 200);
  await reader.reads('14 ¢');
  await reader.shot('e-wallet');

  // To the other newspaper by one click.
  const site = await reader.cost(async () => {
    assert.equal(await reader.visit(courier.url('/articles/ferry.html')), 402);
    assert.equal(await wallet.fetch('2 ¢'), 200);
  });
  await wallet.reads(courier, '/articles/ferry.html');
  row('next site', site);
  for (const target of ['/articles/bakers.html', '/articles/chess.html']) {
    assert.equal(await wallet.open(courier, target), 200);
    await wallet.reads(courier, target);
  }
  assert.equal(await wallet.open(courier, '/features/lighthouse.html'), 200);
  await wallet.reads(courier, '/features/lighthouse.html');

  // Three cents are left, and the page costs five.
  const after = await reader.cost(async () => {
    assert.equal(await wallet.open(courier, '/features/tides.html'), 402);
    await reader.reads('3 ¢');
    await reader.shot('run-out');
    assert.equal(await reader.follow('button', 'Add money and read'), 200);
    await reader.shot('too-little');
    assert.equal(await reader.click(page.getByRole('main').getByRole('link', { name: 'Add money' })), 200);
    await wallet.addMoney('1.00');
    await reader.reads('$1.00 of your balance goes into the e-wallet');
    await reader.shot('confirm-again');
    assert.equal(await wallet.confirm(), 200);
  });
  await wallet.reads(courier, '/features/tides.html');
  row('after running out', after);
  assert.equal(await wallet.open(courier, '/articles/library.html'), 200);
  await wallet.reads(courier, '/articles/library.html');

  // Both again: what she read here a moment ago is free, and there the e-wallet comes back with one click.
  assert.equal(await reader.visit(courier.url('/articles/ferry.html')), 200);
  await wallet.reads(courier, '/articles/ferry.html');
  assert.equal(await reader.visit(post.url('/articles/chess.html')), 402);
  await reader.shot('moved');
  // Once the newspaper has forgotten her, it asks as at the first time.
  assert.equal(await reader.follow('button', /^(Bring my e-wallet here and read|Pay 2 ¢ with my e-wallet)$/), 200);
  await wallet.reads(post, '/articles/chess.html');
  assert.equal(await reader.visit(post.url('/articles/ferry.html')), 200);
  await wallet.reads(post, '/articles/ferry.html');

  // Out of this browser, and what is left is money again.
  assert.equal(await wallet.look(post), 200);
  assert.equal(await reader.follow('button', 'Sign out'), 200);
  assert.equal(page.url(), post.url(WALLET_PAGE));
  await reader.shot('signed-out');
  assert.equal(await reader.visit(post.url('/features/maps.html')), 402);
  assert.equal(await reader.visit(`${world.broker.issuer}/coins`), 200);
  await reader.shot('coins');
  const back = () => reader.click(page.getByRole('button', { name: /^(Return|Give back) coin/ }).first());
  for (let coins = 2; coins > 0; --coins) {
    assert.equal(await back(), 200);
    await reader.reads('went back to your account');
  }
  await reader.reads('In your account, not in coins: 94 ¢');
  await reader.shot('returned');

  // Each page was paid once.
  await post.charged(4);
  await courier.charged(6);
  assert.ok(first.clicks <= 2 && site.clicks <= 2, 'a first page at a site within two clicks');
  assert.equal(next.clicks, 0);
  assert.deepEqual(next.trips, free.trips, 'a page that is paid costs the round trips of a free one');
  assert.equal(free.trips, 1);
  assert.ok(!(await reader.text()).includes(phrase));
  await reader.leave();
}
