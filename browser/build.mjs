// Builds the extension for both browsers from one source: dist/chromium, dist/firefox.
import { build } from 'esbuild'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { icon } from './icon.mjs'
import { manifest } from './extension/src/manifest.mjs'

const top = new URL('.', import.meta.url).pathname
const source = `${top}extension/src`
const { version } = JSON.parse(await readFile(`${top}extension/package.json`, 'utf8'))
await rm(`${top}dist`, { recursive: true, force: true })
for (const browser of ['chromium', 'firefox']) {
  const out = `${top}dist/${browser}`
  const target = browser === 'firefox' ? 'firefox129' : 'chrome137'
  await mkdir(out, { recursive: true })
  await build({ entryPoints: ['background', 'popup', 'options'].map((name) => `${source}/${name}.js`), outdir: out, bundle: true,
    format: 'esm', target, charset: 'utf8', logLevel: 'warning' })
  await build({ entryPoints: [`${source}/links.js`], outdir: out, format: 'iife', target, charset: 'utf8', logLevel: 'warning' })
  for (const name of ['popup.html', 'options.html', 'style.css']) await cp(`${source}/${name}`, `${out}/${name}`)
  await writeFile(`${out}/manifest.json`, `${JSON.stringify(manifest(browser, version), null, 2)}\n`)
  for (const size of [16, 48, 128]) await writeFile(`${out}/icon-${size}.png`, icon(size))
}
