// The e-wallets that need nothing but a browser: the buttons of paywall, broker and newspaper as a reader presses them.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

export const WALLET_PAGE = '/.well-known/netpay/wallet';

// Where the coins are, and the paywall's button for it.
const BUTTONS = {
  server: (price) => `Pay ${price} with my e-wallet`,
  cookie: () => 'Keep the e-wallet in this browser',
};

/** What each of the newspapers' pages is called and has in it, for a look whether it is there as a whole. */
export const PAGES = {
  '/articles/ferry.html': ['The night ferry sails again', 'six winters'],
  '/articles/bakers.html': ['Why the bread went up, explained by the people who bake it', 'The cooperative on Mill Street'],
  '/articles/library.html': ['The library lends its roof', 'Soil is brought up'],
  '/articles/chess.html': ['Under-twelves beat the harbour masters', 'The longest game took'],
  '/features/lighthouse.html': ['Long read: the last keeper', 'Einar Voll'],
  '/features/tides.html': ['Long read: how a village learned to sell its tide', 'The cable went in after all'],
};

export class EWallet {
  /** `kind`: server or cookie. */
  constructor(reader, kind) {
    this.reader = reader;
    this.kind = kind;
    this.world = reader.world;
  }

  /** From a newspaper's paywall to an account with money, and back to the page; the passphrase. */
  async signUp(paper, target, dollars) {
    const { reader } = this;
    assert.equal(await reader.visit(paper.url(target)), 402);
    assert.equal(await reader.follow('link', 'Get an e-wallet'), 200);
    assert.equal(await reader.follow('button', 'Sign up'), 200);
    const phrase = (await reader.page.locator('.phrase').innerText()).trim();
    assert.equal(await reader.follow('link', 'I have written it down'), 200);
    await this.addMoney(dollars);
    assert.equal(await reader.follow('link', `Back to ${paper.origin}`), 402);
    assert.equal(reader.page.url(), paper.url(target));
    return phrase;
  }

  /** On the broker's page for it. */
  async addMoney(dollars) {
    await this.reader.fill('Voucher code', this.world.mint(dollars));
    assert.equal(await this.reader.follow('button', 'Add money'), 200);
  }

  /** A page whose paywall is in front of her: to the broker for the e-wallet; what comes. */
  async fetch(price) {
    return this.reader.follow('button', BUTTONS[this.kind](price));
  }

  /** At the broker's question, with limits to her liking. */
  async confirm({ page, day, days, automatic, everywhere } = {}) {
    const { reader } = this;
    if (page !== undefined) await reader.fill('At most for a page, USD', page);
    if (day !== undefined) await reader.fill('At most a day, USD', day);
    if (days !== undefined) await reader.fill('For so many days', days);
    if (automatic !== undefined) await reader.tick('Pay pages within these limits without asking', automatic);
    if (everywhere !== undefined) await reader.tick('The same at every site, with one click at a new one', everywhere);
    return reader.follow('button', 'Confirm and read');
  }

  /** By a link of the newspaper's front page, which is no click where pages are free either; the status. */
  async open(paper, target) {
    await this.reader.visit(paper.url('/'));
    return this.reader.walk(PAGES[target][0]);
  }

  /** The page is there as a whole, at its own address, and was paid for so often. */
  async reads(paper, target, times = 1) {
    const { reader } = this;
    assert.equal(reader.page.url().split('#')[0], paper.url(target));
    const [heading, text] = PAGES[target.split('?')[0]];
    await reader.shows(heading, text);
    await paper.charged(times, target);
  }

  /** The newspaper's own page of the e-wallet. */
  async look(paper) {
    return this.reader.visit(paper.url(WALLET_PAGE));
  }

  /** The cookies by which a newspaper knows her. */
  async cookies(paper) {
    return this.reader.context.cookies(paper.origin);
  }
}

/** A page of a newspaper, free where `target` is at the top. */
export function write(paper, target, title, main) {
  fs.writeFileSync(path.join(paper.docroot, target),
    `<!DOCTYPE html><html lang="en"><title>${title}</title><main><h1>${title}</h1>${main}</main></html>`);
}

/** More pages for a newspaper, of two cents each; their addresses. The free page /STEM.html has links to them, "Note 1" … */
export function morePages(paper, stem, count) {
  const names = Array.from({ length: count }, (_, i) => `/articles/${stem}-${i + 1}.html`);
  names.forEach((name, i) => write(paper, name, `Note ${i + 1}`, '<p>Read by who paid.</p>'));
  write(paper, `/${stem}.html`, 'Notes', names.map((name, i) => `<p><a href="${name}">Note ${i + 1}</a></p>`).join(''));
  return names;
}
