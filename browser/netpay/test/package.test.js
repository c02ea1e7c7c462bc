// What is published: every name has a type, and licence and description go along.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

const top = new URL('..', import.meta.url)
const { exports, files, engines } = JSON.parse(readFileSync(new URL('package.json', top), 'utf8'))

test('every export has its type', async () => {
  for (const { types, default: code } of Object.values(exports)) {
    const declared = [...readFileSync(new URL(types, top), 'utf8').matchAll(/^export (?:class|function|const) (\w+)/gm)].map((found) => found[1])
    assert.deepEqual(Object.keys(await import(new URL(code, top))).sort(), declared.sort(), types)
  }
})

test('what goes along', () => {
  assert.ok(files.every((name) => existsSync(new URL(name, top))))
  assert.ok(files.includes('README.md') && files.includes('LICENSE') && engines.node)
})
