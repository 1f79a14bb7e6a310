// Checking keys, and what is told of balances and costs.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { canary, fits, isAccessible, openPage, phone, settled, startBrowser, startStack, text } from '../browser.js';

const stack = await startStack();
const browser = await startBrowser();

const keys = {
  api: `sk-proj-${canary}0123456789abcdwxyz`,
  invalid: `sk-invalid-${canary}0123456789last`,
  session: `sess-${canary}0123456789abcdefses1`,
  admin: `sk-admin-${canary}0123456789abcadm1`,
};

// Browsers log answers that are errors by themselves.
const refusals = /status of (401|403|429)/;

// check fills in keys and waits until all of them are checked.
async function check(page, list) {
  await page.fill('#key-list', list.join('\n'));
  await page.click('#check');
  await page.waitForFunction((n) => document.querySelectorAll('#results dl').length === n, new Set(list).size);
}

const card = (page, key) => page.locator('#results > li', { hasText: key.slice(-4) });

test('each key is told for what it is', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: refusals });
  await settled(page);
  await check(page, [...Object.values(keys), keys.api]);
  assert.equal(await text(page, '#keys-news'), '4 of 4 checked, 3 valid, 1 invalid');

  const api = await card(page, keys.api).innerText();
  assert.match(api, /^sk-proj-…wxyz ✓ valid/);
  assert.match(api, /9 models/);
  assert.match(api, /9999 of 10000 requests left, full again in 8.64s\s+199978 of 200000 tokens left/);
  assert.match(api, /Balance\s+Not told to this key\. Why is there no balance\?\s+The API says \(403\): .*must be made with a session key/);
  assert.doesNotMatch(api, /\$/, 'a made-up amount');

  const invalid = await card(page, keys.invalid).innerText();
  assert.match(invalid, /✗ invalid[\s\S]*The API says \(401\): Incorrect API key provided.* invalid_api_key\s+req_0/);
  assert.doesNotMatch(invalid, /Balance/);

  const session = await card(page, keys.session).innerText();
  assert.match(session, /\$12\.50 left of \$18\.00, \$5\.50 used\s+\$5\.50 used in 30 days\s+limit \$100\.00 a month\s+plan Pay-as-you-go\s+until Jan 1, 2027/);

  const shown = await text(page, '#page');
  assert.ok(!shown.includes(canary), 'a key is shown');
  await isAccessible(page, 'keys');
  await page.click('text=Why is there no balance?');
  assert.ok(await page.locator('#why p').first().isVisible());
  await isAccessible(page, 'why');
});

test('costs are a chart and a table', async (t) => {
  const page = await openPage(t, browser, stack.open);
  await settled(page);
  await check(page, [keys.admin]);
  const admin = card(page, keys.admin);
  assert.match(await admin.innerText(), /admin key\s+Costs\s+\$116\.50 in 30 days/);
  assert.equal(await admin.locator('svg.chart rect').count(), 31, 'bars');
  assert.match(await admin.locator('svg.chart').getAttribute('aria-label'), /^Costs per day \(UTC\) from .+ to .+: \$116\.50, at most \$10\.50 a day$/);
  for (const summary of await admin.locator('summary').all()) await summary.click();
  const days = await admin.locator('table').first().locator('tbody tr').allInnerTexts();
  assert.equal(days.length, 31);
  assert.equal(days.filter((day) => /—$/.test(day)).length, 8, 'days of which nothing is said');
  assert.equal(days.filter((day) => /\$0\.00/.test(day)).length, 0, 'made-up zeros');
  const usage = await admin.locator('table').last().locator('tbody tr').allInnerTexts();
  assert.equal(usage.length, 10);
  assert.match(usage[0], /completions\s+155 requests · 31,000 tokens in · 15,500 tokens out/);
  assert.match(usage.find((row) => row.startsWith('moderations')), /none/);
  assert.match(usage.find((row) => row.startsWith('vector_stores')), /at most 4,096 bytes/);
  await isAccessible(page, 'costs');
  await page.click('#lang-zh');
  assert.match(await admin.innerText(), /管理密钥\s+费用\s+30 天共 US\$116\.50/);
  await page.setViewportSize(phone);
  await fits(page, 'costs');
  await isAccessible(page, 'costs on a phone');
});

test('a key that may not see costs says so', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: refusals });
  await settled(page);
  await stack.script(['status=403']);
  await check(page, [keys.admin]);
  const admin = await card(page, keys.admin).innerText();
  assert.match(admin, /✗ refused[\s\S]*The API says \(403\)/);
  assert.doesNotMatch(admin, /\$/);
});

test('one word shows whether there is credit', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: refusals });
  await settled(page);
  await page.check('#probe');
  await check(page, [keys.api]);
  assert.match(await card(page, keys.api).innerText(), /One word\s+answered by gpt-4o-mini: there is credit/);
  await stack.script(['', 'status=429', 'status=429', 'status=429', 'status=429']);
  await check(page, [keys.api]);
  assert.match(await card(page, keys.api).innerText(), /! limited[\s\S]*One word\s+The API says \(429\): Rate limit reached.* rate_limit_exceeded/);
});

test('invalid ones are cleared, the rest is exported masked', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: refusals, acceptDownloads: true });
  await settled(page);
  await check(page, [...Object.values(keys), 'ключ']);
  assert.equal(await text(page, '#keys-news'), '5 of 5 checked, 3 valid, 2 invalid');
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#export')]);
  assert.equal(download.suggestedFilename(), 'keys.csv');
  const csv = await readFile(await download.path(), 'utf8');
  assert.ok(!csv.includes(canary), 'a key is exported');
  const rows = csv.trim().split('\r\n').map((row) => row.slice(row.startsWith('\ufeff') ? 2 : 1, -1).split('","'));
  assert.equal(rows.length, 6);
  assert.ok(rows.every((row) => row.length === rows[0].length));
  assert.deepEqual(rows[1].slice(0, 3), ['sk-proj-…wxyz', 'api', 'valid']);
  assert.deepEqual(rows[2].slice(0, 5), ['sk-…last', 'api', 'invalid', '401', 'invalid_api_key']);
  assert.equal(rows[3][rows[0].indexOf('credit_left')], '12.5');
  assert.equal(rows[1][rows[0].indexOf('credit_left')], '');
  assert.equal(rows[4].at(-1), '116.5 usd');
  await page.click('#clear-invalid');
  assert.equal(await page.inputValue('#key-list'), [keys.api, keys.session, keys.admin].join('\n'));
  assert.equal(await page.locator('#results > li').count(), 3);
  assert.equal(await page.isDisabled('#clear-invalid'), true);
});

test('nothing is kept unless it is asked for', async (t) => {
  const page = await openPage(t, browser, stack.open);
  await settled(page);
  const stored = () => page.evaluate(() => [localStorage.length, document.cookie, ...Object.values(sessionStorage)]);
  await page.fill('#key-list', keys.api);
  assert.deepEqual(await stored(), [0, '']);
  assert.equal(await page.evaluate(() => getComputedStyle(document.getElementById('key-list')).webkitTextSecurity), 'disc');
  await page.check('#show');
  assert.equal(await page.evaluate(() => getComputedStyle(document.getElementById('key-list')).webkitTextSecurity), 'none');
  await page.check('#keep');
  await page.fill('#token', 'a-token');
  await page.reload();
  await settled(page);
  assert.deepEqual([await page.inputValue('#key-list'), await page.inputValue('#token'), await page.isChecked('#keep')], [keys.api, 'a-token', true]);
  await page.uncheck('#keep');
  assert.deepEqual(await stored(), [0, '']);
  await page.reload();
  assert.equal(await page.inputValue('#key-list'), '');
});

test('a relay with a token says what is wrong, and of no key that it is invalid', async (t) => {
  const page = await openPage(t, browser, stack.token, { expected: refusals });
  await settled(page);
  assert.match(await text(page, '#token-hint'), /needs one/);
  await check(page, [keys.api]);
  assert.match(await card(page, keys.api).innerText(), /\? not known[\s\S]*The relay says \(401\): This relay.s access token is missing or wrong.* invalid_access_token/);
  await page.fill('#token', stack.accessToken);
  await check(page, [keys.api]);
  assert.match(await card(page, keys.api).innerText(), /✓ valid/);
});

test("the relay's own key is checked by the token alone", async (t) => {
  const page = await openPage(t, browser, stack.held, { expected: refusals });
  await settled(page);
  assert.equal(await page.isDisabled('#key-list'), true);
  await page.fill('#token', stack.accessToken);
  await page.click('#check');
  await page.waitForSelector('#results dl');
  assert.match(await text(page, '#results'), /the relay's own key ✓ valid[\s\S]*9 models/);
});

test('no key at all', async (t) => {
  const page = await openPage(t, browser, stack.open);
  await settled(page);
  await page.click('#check');
  assert.equal(await text(page, '#keys-news'), 'Enter a key first, such as sk-…');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'key-list');
});
