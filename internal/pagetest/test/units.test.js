// What of the page needs no browser.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { howTheyCame } from '../../../core/page/src/events.mjs';
import { words } from '../../../core/page/src/i18n.mjs';
import { qr } from '../../../core/page/src/qr.mjs';
import { ago, cleanToken, csv, kindOf, mask, scrub, splitKeys } from '../../../core/page/src/text.mjs';
import { decode } from '../browser.js';

// What imports the page's address may be loaded, too.
globalThis.location ??= new URL('http://127.0.0.1/');
const { cheapest } = await import('../../../core/page/src/models.mjs');

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

test('keys come out of what is around them', () => {
  for (const [pasted, ...keys] of [
    ['“sk-a”', 'sk-a'], ['‘sk-a’', 'sk-a'], ['「sk-a」', 'sk-a'], ['`sk-a`', 'sk-a'], ['«sk-a»', 'sk-a'],
    ['Bearer sk-a', 'sk-a'], ['bearer   sk-a', 'sk-a'], ['Authorization: Bearer sk-a', 'sk-a'], ["-H 'Authorization: Bearer sk-a'", '-H', 'sk-a'],
    ['OPENAI_API_KEY=sk-a', 'sk-a'], ['export OPENAI_API_KEY="sk-a"', 'sk-a'], ['$env:OPENAI_API_KEY = "sk-a"', 'sk-a'], ['set KEY=sk-a', 'sk-a'],
    ['export A=sk-a\nexport B=sk-b', 'sk-a', 'sk-b'], ['A=sk-a;B=sk-b', 'sk-a', 'sk-b'], ['{"apiKey": "sk-a"}', '{', 'sk-a', '}'], ['api_key: sk-a', 'sk-a'],
    ['\u200bsk-\u200ca\ufeff\u00ad', 'sk-a'], ['\u202ask-a\u202c', 'sk-a'], ['sk–proj—a', 'sk-proj-a'], ['ｓｋ－ａ', 'sk-a'],
    ['sk-a，sk-b；sk-c、sk-d', 'sk-a', 'sk-b', 'sk-c', 'sk-d'], ['sk-a\u3000sk-b\u00a0sk-c', 'sk-a', 'sk-b', 'sk-c'],
    ['c2VjcmV0==', 'c2VjcmV0=='], ['c2VjcmV0==\nsk-a', 'c2VjcmV0==', 'sk-a'], ['rt_t.sk-a', 'rt_t.sk-a'], ['bearer', 'bearer'], ['', ], [' \u200b ', ],
  ]) {
    assert.deepEqual(splitKeys(pasted), keys, pasted);
  }
  for (const [pasted, token] of [['rt_abc', 'abc'], ['“abc”', 'abc'], ['RELAY_ACCESS_TOKENS=abc', 'abc'], ['rt_abc.sk-a', 'abc'], ['a.b', 'a.b'], ['', '']]) {
    assert.equal(cleanToken(pasted), token, pasted);
  }
});

test('a QR code says what it was made of', () => {
  for (let n = 1; n <= 134; n++) {
    const text = 'https://relay.example/v1?' .repeat(6).slice(0, n);
    assert.equal(decode(qr(text)), text);
  }
  assert.equal(decode(qr('http://例え/v1')), 'http://例え/v1');
  assert.equal(qr('x'.repeat(135)), null);
});

test('the cheapest model that chats', () => {
  const models = (...ids) => ids.map((id, i) => ({ id, created: i }));
  for (const [list, want] of [
    [models('gpt-4o', 'gpt-4o-mini', 'gpt-5', 'gpt-5-nano', 'gpt-5-nano-2025-08-07', 'text-embedding-3-small', 'gpt-4o-mini-tts'), 'gpt-5-nano'],
    [models('gpt-4.1-nano', 'gpt-5-nano', 'gpt-5-mini'), 'gpt-5-nano'],
    [models('gpt-5-pro', 'o1-pro', 'gpt-4o'), 'gpt-4o'],
    [models('gemini-2.5-pro', 'gemini-2.5-flash'), 'gemini-2.5-flash'],
    [models('claude-opus-4', 'claude-haiku-4', 'claude-sonnet-4'), 'claude-haiku-4'],
    [models('ft:gpt-4o-mini:x', 'gpt-4o-mini'), 'gpt-4o-mini'],
    [models('deepseek-chat', 'deepseek-reasoner'), 'deepseek-reasoner'],
    [[{ id: 'gpt-4o-mini' }, { id: 'gpt-5-mini' }], 'gpt-5-mini'],
    [models('whisper-1', 'dall-e-3', 'text-embedding-3-small', 'gpt-realtime', 'omni-moderation-latest', 'gpt-3.5-turbo-instruct'), ''],
    [[], ''],
  ]) {
    assert.equal(cheapest(list), want);
  }
});

test('how old something is', () => {
  assert.deepEqual([0, 400, 8000, 89_000, 120_000, 5_000_000, 7_200_000].map(ago),
    ['0 sec. ago', '0 sec. ago', '8 sec. ago', '89 sec. ago', '2 min. ago', '83 min. ago', '2 hr. ago']);
  assert.deepEqual([-0, -30_000, -3 * 3600e3, -35 * 3600e3, -75 * 3600e3].map(ago), ['in 0 sec.', 'in 30 sec.', 'in 3 hr.', 'in 35 hr.', 'in 3 days']);
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
  assert.equal(howTheyCame(inPieces([1, 1, 1, 2, 3], 0, 0, 0, 50, 150), { sent: 400 }), 'one', 'a stall of 250 ms');
  assert.equal(howTheyCame(inPieces([1, 1, 1, 2, 2], 0, 0, 0, 200, 200), { sent: 400 }), 'bursts');
  assert.equal(howTheyCame(inPieces([1, 1, 1, 1, 1], 0, 0, 0, 0, 0), { sent: 400 }), 'once');
  assert.equal(howTheyCame(at(0, 1, 2, 3, 4), { sent: 400 }), 'once');
});

test('every text is there in both languages, and used', () => {
  const folder = new URL('../../../core/page/src/', import.meta.url);
  const sources = readdirSync(folder).filter((name) => /\.(mjs|html)$/.test(name) && name !== 'i18n.mjs').map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
  for (const [name, texts] of Object.entries(words)) {
    const holes = texts.map((text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort().join());
    assert.ok(texts.length === 2 && texts.every(Boolean) && holes[0] === holes[1], name);
    // Some names are made of two parts.
    const made = /^(says|came|stream|key|token|tab)_/.test(name) || ['up', 'suspect', 'down'].includes(name);
    assert.ok(made || new RegExp(`['"]${name}['"]`).test(sources), `nothing uses ${name}`);
  }
  for (const [, inScript, inMarkup] of sources.matchAll(/\bt\('(\w+)'[,)]|data-t(?:-label|-placeholder)?="(\w+)"/g)) {
    assert.ok((inScript ?? inMarkup) in words, `${inScript ?? inMarkup} has no text`);
  }
});
