// What a reader without an e-wallet sees at a page that costs money, without any script.
import assert from 'node:assert/strict';
import { Reader } from '../lib.mjs';

export default async function play(world) {
  const [post, courier] = world.news;
  const reader = await Reader.come(world);
  const { page } = reader;

  assert.equal(await reader.visit(post.url('/')), 200);
  await reader.shot('front-page');

  // The operator's title and teaser, one price, one action, and the address as it was asked for.
  assert.equal(await reader.visit(`${post.url('/articles/ferry.html')}?from=mail#fares`), 402);
  assert.equal(page.url(), `${post.url('/articles/ferry.html')}?from=mail#fares`);
  assert.equal(await reader.get('heading', 'The night ferry sails again').count(), 1);
  await reader.reads('2 ¢', 'The Harbour Post', 'At ten past eleven on Friday');
  assert.equal(await reader.get('button', 'Pay 2 ¢ with my e-wallet').count(), 1);
  assert.equal(await reader.get('button', 'Keep the e-wallet in this browser').count(), 1);
  assert.ok(!(await reader.text()).includes('the hospital floor'), 'the page itself does not leak');
  const way = new URL(await reader.get('link', 'Get an e-wallet').getAttribute('href'));
  assert.equal(way.origin + way.pathname, `${world.broker.issuer}/sign-up`);
  assert.deepEqual([...way.searchParams], [['client', post.origin], ['target', '/articles/ferry.html?from=mail']]);
  await reader.shot('paywall');
  await page.getByText('With another NetPay wallet').click();
  await reader.reads('If you have the NetPay extension', `netpay get '${post.url('/articles/ferry.html')}?from=mail'`);
  await reader.shot('paywall-unfolded');

  // Title and teaser from the page's own leading part.
  assert.equal(await reader.visit(post.url('/features/lighthouse.html')), 402);
  await reader.reads('5 ¢', 'Long read: the last keeper', 'made automatic thirty-one years ago');
  assert.ok(!(await reader.text()).includes('Einar Voll'), 'no more than the marks allow');
  await reader.shot('teaser-from-the-file');

  // A title that would be markup is text, and so is the address.
  assert.equal(await reader.visit(`${post.url('/hostile/')}?"><script>alert(1)</script>'--><h1>`), 402);
  await reader.reads(`<script>alert('x')</script>"&<h1>`, '<img src=x onerror=alert(1)> {{pay}} </title>');
  assert.equal(await page.locator('script, img').count(), 0);
  assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
  await reader.shot('hostile-text');

  // The other newspaper has a paywall of its own making, in its own style.
  assert.equal(await reader.visit(courier.url('/articles/bakers.html')), 402);
  await reader.reads('The Valley Courier', '2 ¢ to read it', courier.url('/articles/bakers.html'));
  assert.equal(await page.evaluate("getComputedStyle(document.querySelector('.motto')).fontStyle"), 'italic');
  await reader.shot('template');
  assert.equal(await reader.follow('link', 'Get an e-wallet'), 200);
  assert.ok(page.url().startsWith(`${world.broker.issuer}/sign-up?`));

  // Nothing of all this cost anything, and the way back is open.
  await page.goBack();
  assert.equal(page.url(), courier.url('/articles/bakers.html'));
  for (const paper of [post, courier]) await paper.charged(0);
  await reader.leave();
}
