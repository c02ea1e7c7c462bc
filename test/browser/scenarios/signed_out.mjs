// Once she has signed out nothing is paid any more: in this browser at once, and within five minutes by who copied her
// cookies before; at the newspaper, and everywhere at the broker. A limit that she sets there holds as soon.
import assert from 'node:assert/strict';
import { EWallet, PAGES, WALLET_PAGE } from '../ewallet.mjs';
import { Reader } from '../lib.mjs';

const FIVE_MINUTES = 301;
const NEXT = '/articles/library.html';

async function play(world, kind, paper, other) {
  const reader = await Reader.come(world);
  const wallet = new EWallet(reader, kind);
  await wallet.signUp(paper, '/articles/ferry.html', '1.00');
  assert.equal(await wallet.fetch('2 ¢'), 200);
  assert.equal(await wallet.confirm(), 200);
  await wallet.reads(paper, '/articles/ferry.html');

  /** Another browser with the cookies that hers has now. */
  const copied = async () => new EWallet(await Reader.come(world, { storageState: await reader.context.storageState() }), kind);
  const nothing = async (one, target = NEXT) => {
    assert.equal(await one.open(paper, target), 402);
    assert.equal(await one.reader.page.getByText(PAGES[target][1]).count(), 0);
    await paper.charged(0, target);
  };

  // At the newspaper. The copy, which paid like the original until then, is as empty as this browser.
  const copy = await copied();
  assert.equal(await copy.open(paper, '/articles/bakers.html'), 200);
  await copy.reads(paper, '/articles/bakers.html');
  assert.equal(await wallet.look(paper), 200);
  assert.equal(await reader.follow('button', 'Sign out'), 200);
  assert.equal(reader.page.url(), paper.url(WALLET_PAGE));
  await nothing(wallet);
  world.pass(FIVE_MINUTES);
  await nothing(copy);
  await nothing(wallet);

  // By one click it is here again. At the broker she limits this newspaper to three cents a page without asking.
  assert.equal(await wallet.fetch('2 ¢'), 200);
  await wallet.reads(paper, NEXT);
  assert.equal(await reader.visit(`${world.broker.issuer}/account`), 200);
  assert.equal(await reader.follow('link', paper.origin), 200);
  assert.equal(reader.page.url(), paper.url(WALLET_PAGE));
  assert.equal(await reader.follow('link', 'Change the limits'), 200);
  const here = reader.page.locator('section', { hasText: paper.origin });
  await here.getByLabel('At most for a page, USD').fill('0.03');
  assert.equal(await reader.click(here.getByRole('button', { name: 'Limit this site', exact: true })), 200);
  if (kind === 'server') await reader.shot('limited');
  world.pass(FIVE_MINUTES);
  assert.equal(await wallet.open(paper, '/features/lighthouse.html'), 402);
  assert.equal(await reader.follow('button', 'Read for 5 ¢'), 200);
  await wallet.reads(paper, '/features/lighthouse.html');

  // At the broker, of all browsers and all sites.
  const again = await copied();
  assert.equal(await reader.visit(`${world.broker.issuer}/account`), 200);
  assert.equal(await reader.follow('button', 'Sign out everywhere'), 200);
  await reader.reads('Signed out everywhere', 'stop within five minutes');
  if (kind === 'server') await reader.shot('everywhere');
  world.pass(FIVE_MINUTES);
  await nothing(again, '/articles/chess.html');
  await again.reader.reads('Your e-wallet is not at this site now');
  if (kind === 'server') await again.reader.shot('nothing-here');
  await nothing(wallet, '/articles/chess.html');

  // Neither is it got anew without her passphrase, here or at another newspaper.
  assert.equal(await again.reader.follow('button', 'Bring my e-wallet here and read'), 200);
  await again.reader.reads('Sign in');
  assert.equal(await reader.visit(other.url(NEXT)), 402);
  assert.equal(await wallet.fetch('2 ¢'), 200);
  await reader.reads('Sign in');
  const paid = ['/articles/ferry.html', '/articles/bakers.html', NEXT, '/features/lighthouse.html'];
  assert.deepEqual(await paper.charged(4), paid.sort());
  for (const one of [copy, again, wallet]) await one.reader.leave();
}

export default async function signedOut(world) {
  const [post, courier] = world.news;
  await play(world, 'server', post, courier);
  await play(world, 'cookie', courier, post);
}
