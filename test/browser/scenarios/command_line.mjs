// The same story by the command line's e-wallet, for comparison: commands typed count as clicks.
import assert from 'node:assert/strict';

export default async function play(world) {
  const [post, courier] = world.news;
  const store = world.temporary('store');
  const netpay = (...args) => world.netpay(store, args);

  /** One command that gets a page: what it costs in commands, and in round trips at the newspaper, so many at the least. */
  const get = async (paper, target, trips) => {
    const before = paper.requests(target).length;
    const page = netpay('get', '--yes', '--max-price', '0.05', paper.url(target));
    assert.match(page, /<h1>/);
    return { clicks: 1, trips: (await paper.asked(target, before + trips)).length - before };
  };

  netpay('account', 'create', '--broker', world.broker.issuer);
  netpay('topup', world.mint('1.00'));
  netpay('buy', '--unit', '1000', '--n', '100');
  const first = await get(post, '/articles/ferry.html', 2);
  const next = await get(post, '/articles/bakers.html', 1);
  const again = await get(post, '/articles/ferry.html', 1);
  const site = await get(courier, '/articles/ferry.html', 2);
  world.row('command line', 'first page', first);
  world.row('command line', 'next page, asked', next);
  world.row('command line', 'the same page again', again);
  world.row('command line', 'next site', site);
  await post.charged(1, '/articles/ferry.html');
  // Once the site's challenge is known, a page that is paid costs the one round trip of a free one.
  assert.equal(next.trips, 1);

  // 60 of 100 units are spent; two more pages and it has run out.
  await get(courier, '/articles/bakers.html', 1);
  await get(courier, '/articles/library.html', 1);
  await assert.rejects(get(courier, '/articles/chess.html', 1));
  const { length: trips } = await courier.asked('/articles/chess.html', 1);
  netpay('buy', '--unit', '1000', '--n', '100');
  const after = await get(courier, '/articles/chess.html', 1);
  world.row('command line', 'after running out', { clicks: after.clicks + 1, trips: after.trips + trips });
}
