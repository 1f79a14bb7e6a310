// What of the page needs no browser.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { howTheyCame } from '../../../core/page/src/events.mjs';
import { words } from '../../../core/page/src/i18n.mjs';
import { csv, kindOf, mask, scrub, splitKeys } from '../../../core/page/src/text.mjs';

test('keys are masked', () => {
  for (const [key, masked] of [
    ['sk-proj-abcdefghijklmnopqrstuvwx', 'sk-proj-…uvwx'],
    ['sk-admin-abcdefghijklmnopqrstuvwx', 'sk-admin-…uvwx'],
    ['sk-abcdefghijklmnopqrstuvwx', 'sk-…uvwx'],
    ['sess-abcdefghijklmnopqrstuvwx', 'sess-…uvwx'],
    ['sk-short', 'sk-…'],
    ['hunter2', '…'],
    ['', '…'],
    ['rt_thetoken.sk-abcdefghijklmnopqrstuvwx', 'rt_….sk-…uvwx'],
    ['rt_thetoken', 'rt_….'],
  ]) {
    assert.equal(mask(key), masked, key);
  }
  assert.equal(scrub('no key sk-abcdefghijklmnopqrstuvwx', ['', undefined, 'sk-abcdefghijklmnopqrstuvwx']), 'no key sk-…uvwx');
});

test('keys are told apart', () => {
  assert.deepEqual(splitKeys(' sk-a\r\nsk-b, "sk-c"\n\nsk-a;sess-d '), ['sk-a', 'sk-b', 'sk-c', 'sess-d']);
  assert.deepEqual(['sk-a', 'sk-admin-a', 'sess-a', 'rt_t.sk-admin-a'].map(kindOf), ['api', 'admin', 'session', 'admin']);
});

test('a file for spreadsheets holds no formula', () => {
  const rows = ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '  =1', '|cmd', 'a "b", c\nd', -0.5, null].map((cell) => csv([[cell]]).slice(1).trimEnd());
  assert.deepEqual(rows, [`"'=1+1"`, `"'+1"`, `"'-1"`, `"'@SUM(A1)"`, `"'=1"`, `"'=1"`, `"'|cmd"`, '"a ""b"", c d"', '"-0.5"', '""']);
});

test('how events came', () => {
  const at = (...times) => times.map((time, i) => ({ at: time, piece: i + 1 }));
  const inPieces = (pieces, ...times) => times.map((time, i) => ({ at: time, piece: pieces[i] }));
  assert.equal(howTheyCame([]), 'few');
  assert.equal(howTheyCame(at(0, 100, 200)), 'few');
  assert.equal(howTheyCame(at(0, 100, 200, 300), { waited: 500 }), 'one');
  assert.equal(howTheyCame(at(0, 1, 2, 3), { waited: 500 }), 'once', 'many pieces in no time, after a long wait');
  assert.equal(howTheyCame(at(0, 1, 2, 3), { waited: 2 }), 'one', 'a fast upstream');
  assert.equal(howTheyCame(inPieces([1, 1, 1, 1], 0, 0, 0, 0)), 'once');
  assert.equal(howTheyCame(inPieces([1, 1, 1, 1, 2, 2, 2, 2], 0, 0, 0, 0, 400, 400, 400, 400)), 'bursts');
  assert.equal(howTheyCame(at(0, 100, 200, 300, 400), { sent: 400 }), 'one');
  assert.equal(howTheyCame(at(0, 1, 2, 3, 4), { sent: 400 }), 'once');
});

test('every text is there in both languages, and used', () => {
  const folder = new URL('../../../core/page/src/', import.meta.url);
  const sources = readdirSync(folder).filter((name) => /\.(mjs|html)$/.test(name) && name !== 'i18n.mjs').map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
  for (const [name, texts] of Object.entries(words)) {
    const holes = texts.map((text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort().join());
    assert.ok(texts.length === 2 && texts.every(Boolean) && holes[0] === holes[1], name);
    // Some names are made of two parts.
    const made = /^(says|kind|came|stream|up)_/.test(name) || ['up', 'suspect', 'down'].includes(name) || /^(num_|input_|output_)|^(images|characters|seconds|usage_bytes)$/.test(name);
    assert.ok(made || new RegExp(`['"]${name}['"]`).test(sources), `nothing uses ${name}`);
  }
  for (const [, inScript, inMarkup] of sources.matchAll(/\bt\('(\w+)'[,)]|data-t(?:-label)?="(\w+)"/g)) {
    assert.ok((inScript ?? inMarkup) in words, `${inScript ?? inMarkup} has no text`);
  }
});
