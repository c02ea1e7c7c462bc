// What the extension may do, by what the browser says.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manifest } from '../src/manifest.mjs'
import { badge, fromLinks, isPage, isShown, keptRule, paymentRule, wentByHerself } from '../src/rules.js'

const page = { type: 'main_frame', frameId: 0, tabId: 3, method: 'GET', frameType: 'outermost_frame', documentLifecycle: 'active' }

test('only a page of a tab is paid', () => {
  assert.ok(isPage(page))
  assert.ok(isPage({ type: 'main_frame', frameId: 0, tabId: 3, method: 'GET' })) // a browser that says no more
  for (const other of [{ type: 'sub_frame' }, { type: 'image' }, { type: 'xmlhttprequest' }, { frameId: 4 }, { tabId: -1 }, { method: 'POST' },
    { method: 'HEAD' }, { frameType: 'fenced_frame' }, { frameType: 'sub_frame' }, { documentLifecycle: 'prerender' }, { documentLifecycle: 'pending_deletion' }])
    assert.equal(isPage({ ...page, ...other }), false, JSON.stringify(other))
  assert.ok(isShown({ frameId: 0, tabId: 1 }))
  assert.equal(isShown({ frameId: 0, tabId: 1, documentLifecycle: 'prerender' }), false)
})

test('unasked only where she went herself', () => {
  const heard = { url: 'https://a.example/1', initiator: 'https://a.example', user: true }
  const nav = (transitionType, ...transitionQualifiers) => ({ transitionType, transitionQualifiers })
  for (const type of ['typed', 'auto_bookmark', 'generated', 'keyword']) assert.ok(wentByHerself(nav(type), { url: heard.url }), type)
  assert.ok(wentByHerself(nav('link'), heard))
  assert.ok(wentByHerself(nav('link'), { ...heard, user: undefined }))
  assert.equal(wentByHerself(nav('link'), { ...heard, user: false }), false)
  for (const initiator of ['https://b.example', 'http://a.example', 'https://a.example:8443', 'null', undefined])
    assert.equal(wentByHerself(nav('link'), { ...heard, initiator }), false, String(initiator))
  for (const type of ['start_page', 'reload', 'form_submit', 'auto_subframe', 'manual_subframe', undefined]) assert.equal(wentByHerself(nav(type), heard), false, type)
  for (const qualifier of ['client_redirect', 'server_redirect', 'forward_back'])
    for (const type of ['typed', 'link']) assert.equal(wentByHerself(nav(type, qualifier), heard), false, qualifier)
})

test('a payment goes to its page and to nothing else', () => {
  const url = 'https://a.example/x.(y)?q=1+2&r=[z]|*^$\\'
  const { condition, action } = paymentRule(7, 3, `${url}#part`, ['Authorization', 'Payment abc'])
  const fits = new RegExp(condition.regexFilter)
  assert.ok(fits.test(url))
  assert.ok(fits.test(`${url}#other`))
  for (const other of [`${url}1`, `x${url}`, url.replace('.', 'x'), 'https://a.example/', url.replace('a.', 'b.')]) assert.equal(fits.test(other), false, other)
  assert.equal(condition.isUrlFilterCaseSensitive, true)
  assert.deepEqual([condition.tabIds, condition.resourceTypes, condition.requestMethods], [[3], ['main_frame'], ['get']])
  assert.deepEqual(action.requestHeaders, [{ header: 'Authorization', operation: 'set', value: 'Payment abc' }])
})

test('a payment ahead goes when a page of the site goes there, and for nothing that is loaded ahead', () => {
  const rule = (url) => paymentRule(7, 3, url, ['Authorization', 'Payment abc'], { fromSite: true }).condition
  assert.deepEqual(rule('https://a.example:8443/x').initiatorDomains, ['a.example'])
  assert.deepEqual(rule('http://[::1]:80/x').initiatorDomains, ['::1'])
  assert.deepEqual(rule('https://a.example/x').tabIds, [3])
  assert.equal('initiatorDomains' in paymentRule(7, 3, 'https://a.example/x', ['Authorization', 'x']).condition, false)
})

test('a payment is shown again at its page alone, and a new one goes before it', () => {
  const url = 'https://a.example/1.html?x=1'
  const field = ['Authorization', 'Payment abc']
  const { priority, action, condition } = keptRule(7, url, field)
  assert.ok(priority < paymentRule(8, 3, url, field).priority)
  assert.deepEqual(action.requestHeaders, [{ header: 'Authorization', operation: 'set', value: 'Payment abc' }])
  const fits = new RegExp(condition.regexFilter)
  for (const [other, fit] of [[url, true], [`${url}#x`, true], [`${url}&y`, false], ['https://a.example/1.html', false], [url.replace('a.', 'b.'), false]])
    assert.equal(fits.test(other), fit, other)
  assert.deepEqual([condition.resourceTypes, condition.requestMethods, condition.excludedTabIds], [['main_frame'], ['get'], [-1]])
})

test('what a page tells of its links is believed for its own site', () => {
  const sender = { tab: { id: 3 }, frameId: 0, url: 'https://a.example/index.html#top', documentLifecycle: 'active' }
  const message = { kind: 'press', url: 'https://a.example/1.html' }
  assert.deepEqual(fromLinks(message, sender), message)
  assert.deepEqual(fromLinks({ ...message, kind: 'near' }, { ...sender, documentLifecycle: undefined })?.kind, 'near')
  assert.equal(fromLinks({ ...message, kind: 'released' }, sender)?.kind, 'released')
  for (const other of [{ kind: 'constructor' }, { kind: undefined }, { url: 'https://b.example/1.html' }, { url: 'http://a.example/1.html' },
    { url: 'https://a.example:8443/1.html' }, { url: 'https://a@a.example/1.html' }, { url: 'https://a.example/index.html' },
    { url: 'https://a.example/1.html#x' }, { url: 'javascript:1' }, { url: 5 }])
    assert.equal(fromLinks({ ...message, ...other }, sender), null, JSON.stringify(other))
  for (const other of [{ frameId: 2 }, { tab: undefined }, { tab: { id: -1 } }, { documentLifecycle: 'prerender' }, { url: 'about:blank' }, { url: undefined }])
    assert.equal(fromLinks(message, { ...sender, ...other }), null, JSON.stringify(other))
  assert.equal(fromLinks('changed', sender), null)
  assert.equal(fromLinks(null, sender), null)
})

test('the button', () => {
  assert.deepEqual([20000, 5000, 980000, 1000000, 1990000, 12340000].map((m) => badge(m, 'uusd')), ['2¢', '0.5¢', '98¢', '$1', '$1.9', '$12'])
  assert.equal(badge(1500000, 'ueur'), '€1.5')
  assert.equal(badge(1500000, 'uchf'), '1.5')
})

test('one source, two manifests', () => {
  const chromium = manifest('chromium', '1.0.0')
  const firefox = manifest('firefox', '1.0.0')
  assert.equal(chromium.background.service_worker, 'background.js')
  assert.deepEqual(firefox.background.scripts, ['background.js'])
  assert.ok(firefox.browser_specific_settings.gecko.id)
  assert.equal(firefox.browser_specific_settings.gecko.strict_min_version, '129.0') // the first with Ed25519
  assert.deepEqual(chromium.permissions, firefox.permissions)
  assert.match(chromium.content_security_policy.extension_pages, /default-src 'self'/)
})
