// A reader with a browser, as the scenarios use it: every act is counted, every
// step is looked at (screenshots, axe-core, widths), and at the end nothing may
// have been asked of other hosts nor blocked by a Content-Security-Policy.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { patience, until } from './until.mjs';

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const EXECUTABLE = process.env.NETPAY_CHROMIUM ?? '/usr/bin/chromium';

export const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };
export const SCHEMES = ['light', 'dark'];
const NARROWEST = { width: 320, height: 640 };
const MOST_STOPS = 100;
// axe-core runs where the two together cover both widths and both schemes.
const EXAMINED = new Set(['phone-light', 'desktop-dark']);
// What it has seen, of all scenarios.
const examined = new Set();

// No name but loopback's resolves: what would leave the machine fails, and is seen.
const CHROMIUM = ['--no-sandbox', '--no-proxy-server', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.*'];

const REDIRECTS = [301, 302, 303, 307, 308];
const isDocument = (request) => request.isNavigationRequest() && request.resourceType() === 'document';

const lines = (file) => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').filter(Boolean) : []);

/** A newspaper: its addresses, and what its server has written down since the scenario began. */
export class News {
  #paymentsBefore;
  #requestsBefore;

  constructor(site) {
    Object.assign(this, site);
    this.#paymentsBefore = lines(this.payment_log).length;
    this.#requestsBefore = lines(this.access_log).length;
  }

  url(target = '/') {
    return this.origin + target;
  }

  payments() {
    return lines(this.payment_log).slice(this.#paymentsBefore).map((line) => JSON.parse(line));
  }

  /**
   * The addresses of the payments that cost units, of one page or of all, sorted; an error unless they are so many.
   * httpd writes its log after an answer has left, so it is waited for.
   */
  async charged(times, target) {
    const found = () => this.payments().filter((p) => p.charged && (target === undefined || p.uri === target));
    const what = `payments of ${target ?? this.name}`;
    await until(`${times} ${what}`, () => found().length >= times);
    assert.equal(found().length, times, what);
    return found().map((p) => p.uri).sort();
  }

  /** Sends what it has sold to the broker, until so many units were credited. */
  async redeem(units) {
    let credited = 0;
    await until(`${this.name} is credited ${units} units`, () => {
      const said = execFileSync(this.redeemer[0], this.redeemer.slice(1), { encoding: 'utf8' });
      credited += Number(/ (\d+) units/.exec(said)[1]);
      return credited >= units;
    });
  }

  /** What was asked for, once it is so often: `requests`, of which the last may not be written down yet. */
  async asked(target, times) {
    await until(`${target} is asked for ${times} times`, () => this.requests(target).length >= times);
    return this.requests(target);
  }

  /** What was asked for, [{status, method, target}]. */
  requests(target) {
    return lines(this.access_log).slice(this.#requestsBefore)
      .map((line) => /^\S+ (\d+) \S+ "(\S+) (\S+)/.exec(line))
      .filter(Boolean)
      .map(([, status, method, asked]) => ({ status: Number(status), method, target: asked }))
      .filter((r) => target === undefined || r.target === target);
  }
}

/** What the scenario was given: broker, newspapers, programs, and where to put pictures. */
export class World {
  constructor(given) {
    Object.assign(this, given);
    this.news = given.news.map((site) => new News(site));
    this.pictures = path.join(given.artifacts, given.scenario);
    fs.rmSync(this.pictures, { recursive: true, force: true });
    fs.mkdirSync(this.pictures, { recursive: true });
    this.readers = [];
    this.rows = [];
  }

  /** An operator's command at the broker; its standard output. */
  admin(...args) {
    return execFileSync(this.broker.admin[0], [...this.broker.admin.slice(1), ...args], { encoding: 'utf8' });
  }

  mint(amount) {
    return this.admin('voucher', 'mint', '--amount', amount).trim();
  }

  /** The wallet program, with a store of its own in `store`; standard output. */
  netpay(store, args, input = '') {
    return execFileSync(this.wallet, args, {
      encoding: 'utf8', input, stdio: 'pipe', env: { ...process.env, NETPAY_STORE: store, LC_ALL: 'C' },
    });
  }

  /** So many seconds pass for broker and newspapers, if they have a clock of the test's own. */
  pass(seconds) {
    const fresh = `${this.clock}.new`;
    fs.writeFileSync(fresh, `+${(Number(fs.readFileSync(this.clock, 'utf8')) + seconds).toFixed(3)}`, { mode: 0o644 });
    fs.renameSync(fresh, this.clock);
  }

  /** A line of the table of clicks and round trips. */
  row(wallet, act, { clicks, trips }) {
    this.rows.push({ wallet, act, clicks, trips });
  }

  /** A directory that goes with the test. */
  temporary(stem) {
    return fs.mkdtempSync(path.join(this.scratch, `${stem}-`));
  }
}

// One for all readers without an extension: starting it takes as long as a few pages.
let browser;

async function theBrowser() {
  if (!browser?.isConnected()) browser = await chromium.launch({ executablePath: EXECUTABLE, args: CHROMIUM });
  return browser;
}

export async function endBrowser() {
  await browser?.close();
}

export class Reader {
  /**
   * A browser profile of her own, empty. Pages' scripts do not run unless `javaScript` says so: the pages must do without.
   * `extension`: directory of an unpacked extension, which is then installed (and scripts run).
   * `storageState`: cookies she has already. `phone`: she reads on a phone, in the dark.
   */
  static async come(world, { javaScript = false, extension = null, storageState = undefined, phone = false } = {}) {
    const reader = new Reader();
    reader.world = world;
    world.readers.push(reader);
    reader.scripts = javaScript || extension !== null;
    reader.size = phone ? SIZES.phone : SIZES.desktop;
    reader.colorScheme = phone ? 'dark' : 'light';
    if (extension) {
      reader.context = await chromium.launchPersistentContext(world.temporary('profile'), {
        executablePath: EXECUTABLE, headless: false, viewport: SIZES.desktop, acceptDownloads: true,
        args: [...CHROMIUM, '--headless=new', `--disable-extensions-except=${extension}`,
          `--load-extension=${extension}`],
        ignoreDefaultArgs: ['--disable-extensions'],
      });
    } else {
      reader.context = await (await theBrowser()).newContext({
        javaScriptEnabled: javaScript, viewport: reader.size, colorScheme: reader.colorScheme, isMobile: phone, hasTouch: phone,
        acceptDownloads: true, storageState,
      });
    }
    reader.context.setDefaultTimeout(15000 * patience());
    reader.clicks = 0;
    reader.steps = [];
    reader.visits = [];
    reader.faults = [];
    reader.answers = new WeakMap();
    reader.context.on('request', (request) => reader.#asked(request));
    reader.context.on('response', (response) => {
      if (!isDocument(response.request())) return;
      try {
        reader.answers.set(response.frame().page(), response);
      } catch { // of a tab that is told of later
      }
    });
    reader.context.on('console', (message) => {
      if (/Content.Security.Policy/i.test(message.text())) reader.faults.push(`blocked: ${message.text()}`);
    });
    reader.context.on('weberror', (error) => reader.faults.push(`script error: ${error.error().message}`));
    reader.page = await reader.context.newPage();
    return reader;
  }

  #asked(request) {
    const url = new URL(request.url());
    if (!['http:', 'https:'].includes(url.protocol)) return;  // the extension's own pages
    if (!this.world.origins.includes(url.origin)) this.faults.push(`asked of another site: ${request.url()}`);
    if (isDocument(request)) {
      this.visits.push({ method: request.method(), url: request.url() });
    }
  }

  /** Requests for documents until now, each redirect and reload among them. */
  get trips() {
    return this.visits.length;
  }

  /** What an act costs the reader. */
  async cost(act) {
    const clicks = this.clicks;
    const trips = this.trips;
    await act();
    return { clicks: this.clicks - clicks, trips: this.trips - trips };
  }

  // --- acts ------------------------------------------------------------------

  /** An address typed or a bookmark; the answer's status. */
  async visit(url) {
    const answer = await this.page.goto(url, { waitUntil: 'load' });
    return answer?.status();
  }

  /** What has that role and accessible name: the whole name, or a pattern. */
  get(role, name) {
    return this.page.getByRole(role, { name, exact: true });
  }

  /** A click that leads to a page; the status of what comes. */
  async follow(role, name) {
    return this.click(this.get(role, name));
  }

  /** The same on what was found otherwise. */
  async click(found) {
    return this.#led(() => found.click());
  }

  /** The same by the keyboard alone: Tab until it has the focus, then Enter. */
  async followByKey(role, name) {
    await this.tabTo(role, name);
    return this.submitByKey();
  }

  /** Enter, where the focus is. */
  async submitByKey() {
    return this.#led(() => this.page.keyboard.press('Enter'));
  }

  /** A link of a newspaper, which is no click where its pages are free either. */
  async walk(name) {
    const status = await this.follow('link', name);
    this.clicks -= 1;
    return status;
  }

  /** The same into a tab of its own behind this one, with Control; the tab, loaded. */
  async walkAside(name) {
    const opened = this.context.waitForEvent('page');
    await this.get('link', name).click({ modifiers: ['ControlOrMeta'] });
    const page = await opened;
    await page.waitForLoadState('load');
    return page;
  }

  async #led(act) {
    this.clicks += 1;
    const answer = this.page.waitForResponse((r) => isDocument(r.request()) && !REDIRECTS.includes(r.status()));
    const [response] = await Promise.all([answer, this.page.waitForEvent('load'), act()]);
    return response.status();
  }

  /** A click that stays on the page. */
  async press(role, name) {
    this.clicks += 1;
    await this.get(role, name).click();
  }

  async fill(label, text) {
    await this.page.getByLabel(label, { exact: true }).fill(text);
  }

  async tick(label, wanted) {
    await this.page.getByLabel(label, { exact: true }).setChecked(wanted);
  }

  /** A click that saves a file; its text. */
  async download(role, name) {
    this.clicks += 1;
    const [file] = await Promise.all([this.page.waitForEvent('download'), this.get(role, name).click()]);
    return fs.readFileSync(await file.path(), 'utf8');
  }

  /** Presses Tab until the element has the focus; that must be visible. */
  async tabTo(role, name) {
    const wanted = this.get(role, name);
    assert.equal(await wanted.count(), 1, `one ${role} "${name}" on ${this.page.url()}`);
    for (let tries = 0; tries < MOST_STOPS; tries += 1) {
      await this.page.keyboard.press('Tab');
      if (await wanted.evaluate((e) => e === e.ownerDocument.activeElement)) return;
    }
    assert.fail(`no Tab leads to ${role} "${name}" on ${this.page.url()}`);
  }

  /** Goes through the whole page by Tab: every control is reached, and it can be seen which one it is. */
  async everyStop() {
    const controls = this.page.locator('a[href], button, input:not([type=hidden]), select, textarea, summary');
    const wanted = await controls.evaluateAll((all) => all.filter((e) => e.checkVisibility())
      .map((e) => e.outerHTML.slice(0, 200)));
    const reached = [];
    for (let tries = 0; tries < MOST_STOPS && reached.length < wanted.length; tries += 1) {
      await this.page.keyboard.press('Tab');
      const stop = await this.page.locator('body').evaluate((body) => {
        const e = body.ownerDocument.activeElement;
        if (!e || e === body) return null;
        const { outlineStyle, outlineWidth } = getComputedStyle(e);
        return {
          html: e.outerHTML.slice(0, 200), seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1,
          control: e.matches('a[href], button, input, select, textarea, summary'),
        };
      });
      if (!stop) continue;
      if (!stop.seen) this.faults.push(`on ${this.page.url()} the focus cannot be seen on ${stop.html}`);
      if (stop.control) reached.push(stop.html);
    }
    assert.deepEqual(reached, wanted, `what Tab reaches on ${this.page.url()}`);
  }

  // --- looking ---------------------------------------------------------------

  async text(page = this.page) {
    return page.locator('body').innerText();
  }

  async reads(...wanted) {
    const text = await this.text();
    for (const one of wanted) {
      const found = one instanceof RegExp ? one.test(text) : text.includes(one);
      assert.ok(found, `"${one}" is not on ${this.page.url()}:\n${text}`);
    }
  }

  /** Waits until the page has that heading and text. */
  async shows(heading, text) {
    await this.get('heading', heading).waitFor();
    await this.page.getByText(text).waitFor();
  }

  /** Screenshots of the step in both widths and schemes, looked at by axe-core, and no width scrolls sideways. */
  async shot(name, page = this.page) {
    const step = `${String(this.steps.length + 1).padStart(2, '0')}-${name}`;
    this.steps.push(step);
    if (this.scripts) {
      await this.#each(page, async (kind) => {
        await this.#picture(page, step, kind);
        if (EXAMINED.has(kind)) await this.#examine(page, `${step} ${kind}`);
      });
    } else {
      await Promise.all([
        this.#each(page, (kind) => this.#picture(page, step, kind)),
        this.#examineCopy(page, step),
      ]);
    }
    await page.setViewportSize(NARROWEST);
    await this.#fits(page, `${step} at 320 pixels`);
    await page.setViewportSize(this.size);
    await page.emulateMedia({ colorScheme: this.colorScheme });
  }

  /** Looks at the page in each width and scheme, or in those of `kinds`. */
  async #each(page, look, kinds = undefined) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      for (const colorScheme of SCHEMES) {
        const kind = `${size}-${colorScheme}`;
        if (kinds && !kinds.has(kind)) continue;
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        await look(kind);
      }
    }
  }

  async #picture(page, step, kind) {
    await page.screenshot({ path: path.join(this.world.pictures, `${step}-${kind}.png`), fullPage: true });
    await this.#fits(page, `${step} ${kind}`);
  }

  async #fits(page, step) {
    const wide = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
    if (wide > 0) this.faults.push(`${step}: the page is ${wide} pixels too wide`);
  }

  async #examine(page, step) {
    if (!(await page.evaluate("'axe' in window"))) await page.evaluate(AXE);
    const found = await page.evaluate("axe.run({ resultTypes: ['violations'] })");
    for (const violation of found.violations) {
      this.faults.push(`${step}: axe-core ${violation.id}: ${violation.help}\n` +
        violation.nodes.map((n) => `    ${n.html}\n    ${n.failureSummary}`).join('\n'));
    }
  }

  /** A copy of the page; not again where only numbers and tokens differ from one that was examined. */
  async #examineCopy(page, step) {
    const html = await page.content();
    const likeness = html.replace(/[\w-]{20,}/g, '').replace(/\d+/g, '0');
    if (examined.has(likeness)) return;
    examined.add(likeness);
    const copy = await this.#copy(page, html);
    await this.#each(copy, (kind) => this.#examine(copy, `${step} ${kind}`), EXAMINED);
  }

  /**
   * The page as it stands, once more where scripts run, which axe-core needs: the same document under the same
   * policy at the same address. (axe-core ends the browser in a context without scripts.)
   */
  async #copy(page, body) {
    const answer = this.answers.get(page);
    if (!this.second) {
      this.examiner = await (await theBrowser()).newContext({ javaScriptEnabled: true });
      this.second = await this.examiner.newPage();
    }
    const headers = { 'content-type': 'text/html; charset=utf-8' };
    const policy = answer && (await answer.headerValue('content-security-policy'));
    if (policy) headers['content-security-policy'] = policy;
    await this.second.unrouteAll();
    await this.second.route('**/*', (route) =>
      (route.request().isNavigationRequest() ? route.fulfill({ status: 200, headers, body }) : route.continue()));
    await this.second.goto(page.url(), { waitUntil: 'load' });
    return this.second;
  }

  /** That a policy blocked something was meant so. */
  blocked(pattern) {
    assert.ok(this.faults.some((fault) => pattern.test(fault)), `${pattern} was blocked`);
    this.faults = this.faults.filter((fault) => !pattern.test(fault));
  }

  // --- the end -----------------------------------------------------------------

  async close() {
    await this.examiner?.close();
    await this.context.close();
  }

  async leave() {
    await this.close();
    this.world.readers.splice(this.world.readers.indexOf(this), 1);
    assert.equal(this.faults.length, 0, `\n${this.faults.join('\n')}`);
  }
}
