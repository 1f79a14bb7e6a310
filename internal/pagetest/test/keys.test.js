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

// Browsers log responses that are errors by themselves.
const refusals = /status of (401|403|429)/;

// check fills in keys and waits until all of them are checked.
async function check(page, list) {
  await page.fill('#key-list', list.join('\n'));
  await page.click('#check');
  await page.waitForSelector('#check:visible');
}

const card = (page, key) => page.locator('#results > li', { hasText: key.slice(-4) });

// details opens the details of a key and returns their text.
async function details(page, key) {
  const toggle = card(page, key).locator('.toggle');
  if ((await toggle.getAttribute('aria-expanded')) !== 'true') await toggle.click();
  return card(page, key).innerText();
}

async function download(page, selector) {
  const [file] = await Promise.all([page.waitForEvent('download'), page.click(selector)]);
  const csv = await readFile(await file.path(), 'utf8');
  assert.ok(!csv.includes(canary), 'a key is exported');
  const rows = csv.trim().split('\r\n').map((row) => row.slice(row.startsWith('\ufeff') ? 2 : 1, -1).split('","'));
  assert.ok(rows.every((row) => row.length === rows[0].length));
  return { name: file.suggestedFilename(), rows: rows.slice(1).map((row) => Object.fromEntries(row.map((cell, i) => [rows[0][i], cell]))) };
}

test('each key is told for what it is, in one row', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: refusals });
  await settled(page);
  await check(page, [...Object.values(keys), keys.api]);
  assert.equal(await text(page, '#keys-news'), '4 of 4 checked, 3 accepted');
  assert.match(await card(page, keys.api).innerText(), /^sk-proj-…wxyz\s+✓ accepted, credit untested\s+9 models\s+Test credit\s+Use in chat\s+Details$/);
  assert.match(await card(page, keys.invalid).innerText(), /^sk-…last\s+✗ invalid\s+Details$/);
  assert.match(await card(page, keys.session).innerText(), /^sess-…ses1\s+✓ accepted, credit untested\s+9 models · \$12\.50 left/);
  assert.match(await card(page, keys.admin).innerText(), /^sk-admin-…adm1\s+✓ accepted\s+\$[\d.]+ in 30 days\s+Details$/);
  await isAccessible(page, 'rows');

  const api = await details(page, keys.api);
  assert.match(api, /9999 of 10000 requests left, full again in 8.64s\s+199978 of 200000 tokens left/);
  assert.match(api, /Balance\s+OpenAI does not report balances to API keys\./);
  assert.doesNotMatch(api, /\$/, 'a made-up amount');
  const invalid = await details(page, keys.invalid);
  assert.match(invalid, /The API says \(401\): Incorrect API key provided.* invalid_api_key\s+req_0/);
  assert.doesNotMatch(invalid, /Balance/);
  assert.match(await details(page, keys.session),
    /\$12\.50 left · \$18\.00 granted · \$5\.50 used · \$5\.50 used in 30 days · limit \$100\.00 a month · plan Pay-as-you-go · until Jan 1, 2027/);
  assert.ok(!(await text(page, '#page')).includes(canary), 'a key is shown');
  await isAccessible(page, 'details');
  await page.setViewportSize(phone);
  await fits(page, 'details on a phone');
});

test('what is known to fail is not asked for each key', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: refusals });
  await settled(page);
  await stack.reset();
  const list = Array.from({ length: 6 }, (_, i) => `sk-proj-${canary}0123456789abcd000${i}`);
  await check(page, [...list, keys.session]);
  const seen = await stack.requests();
  const count = (path, key = '') => seen.filter(({ uri, header }) => uri.startsWith(path) && header.Authorization[0].includes(key)).length;
  assert.equal(count('/v1/models'), 7);
  for (const path of ['credit_grants', 'subscription', 'usage']) {
    assert.equal(count('/dashboard/billing/' + path, 'sk-proj-'), 1, path);
    assert.equal(count('/dashboard/billing/' + path, 'sess-'), 1, path);
  }
});

test('a check can be stopped', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: refusals });
  await settled(page);
  await stack.reset();
  await stack.script(['hang', 'hang', 'hang']);
  await page.fill('#key-list', [keys.api, keys.session, keys.api + '1', keys.api + '2'].join('\n'));
  await page.click('#check');
  await stack.requests({ wait: 3 });
  await page.click('#stop-check');
  await page.waitForSelector('#check:visible');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'check');
  assert.match(await card(page, keys.api + '2').innerText(), /\? could not check/);
  assert.match(await details(page, keys.api + '2'), /Stopped/);
  const seen = await stack.requests({ done: 3 });
  assert.deepEqual(seen.map(({ canceled }) => canceled), [true, true, true], 'and nothing more is sent');
});

test('a check that gets no response ends', async (t) => {
  const page = await openPage(t, browser, stack.open, {
    before: (page) => page.addInitScript(() => { // half a minute is over at once
      const timeout = AbortSignal.timeout.bind(AbortSignal);
      AbortSignal.timeout = (ms) => timeout(ms === 30_000 && window.__short ? 50 : ms);
    }),
  });
  await settled(page);
  await stack.script(['hang']);
  await page.evaluate(() => (window.__short = true));
  await check(page, [keys.api]);
  assert.match(await text(page, '#results'), /\? could not check[\s\S]*No response within 30 seconds/);
});

test('keys can be filtered, and the valid ones copied', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: refusals, permissions: ['clipboard-read', 'clipboard-write'] });
  await settled(page);
  await check(page, [...Object.values(keys), 'ключ']);
  assert.deepEqual(await page.locator('#filter option').allInnerTexts(), ['all (5)', 'accepted, credit untested (2)', 'accepted (1)', 'invalid (2)']);
  await page.selectOption('#filter', 'invalid');
  assert.equal(await page.locator('#results > li:visible').count(), 2);
  await page.click('#copy-valid');
  await page.waitForFunction(() => document.getElementById('copy-valid').textContent === 'Copied');
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), [keys.api, keys.session, keys.admin].join('\n'));
  await page.click('#clear-invalid');
  assert.equal(await page.inputValue('#key-list'), [keys.api, keys.session, keys.admin].join('\n'));
  assert.equal(await page.locator('#results > li:visible').count(), 3);
  assert.equal(await page.isDisabled('#clear-invalid'), true);
});

test('costs are a chart and tables, by model and project', async (t) => {
  const page = await openPage(t, browser, stack.open, { acceptDownloads: true });
  await settled(page);
  await stack.reset();
  await check(page, [keys.admin]);
  const admin = card(page, keys.admin);
  const sum = /\$([\d.]+) in 30 days/.exec(await admin.innerText())[1];
  assert.equal(await admin.locator('svg.chart rect').count(), 31, 'bars');
  assert.match(await admin.locator('svg.chart').getAttribute('aria-label'), new RegExp(`^Costs per day \\(UTC\\) from .+ to .+: \\$${sum}, at most \\$10\\.50 a day$`));
  for (const summary of await admin.locator('summary').all()) await summary.click();
  const rows = (i) => admin.locator('table').nth(i).locator('tbody tr').allInnerTexts();
  assert.deepEqual((await rows(0)).map((row) => row.split('\t')[0]), ['gpt-5-mini', 'gpt-4o-mini']);
  assert.equal(await page.evaluate((row) => Number(row.split('$')[1]), (await rows(0))[0]), Math.round(Number(sum) * 75) / 100);
  assert.deepEqual((await rows(1)).map((row) => row.split('\t')[0]), ['Chat for customers', 'proj_fake2']);
  const days = await rows(2);
  assert.equal(days.length, 31);
  assert.equal(days.filter((day) => /—$/.test(day)).length, 8, 'days of which nothing is said');
  assert.equal(days.filter((day) => /\$0\.00/.test(day)).length, 0, 'made-up zeros');
  await page.waitForFunction(() => /155\s+31,000\s+15,500/.test(document.getElementById('results').innerText));
  const box = await admin.locator('svg.chart').boundingBox();
  await page.mouse.move(box.x + 1, box.y + box.height / 2);
  assert.equal(await admin.locator('figcaption').first().innerText(), days[0].replace('\t', ': '));
  await isAccessible(page, 'costs');

  await page.evaluate(() => (window.__calls = performance.getEntriesByType('resource').length));
  await admin.locator('select').selectOption('90');
  await page.waitForFunction(() => document.querySelectorAll('svg.chart rect').length === 91);
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'SELECT');
  const { name, rows: cells } = await download(page, '.costs button');
  assert.equal(name, 'costs.csv');
  assert.match(cells[0].checked_at, /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.deepEqual([cells[0].base_url, cells[0].key, cells[0].model, cells[0].line_item, cells[0].project, cells[0].amount, cells[0].currency],
    [stack.open + '/v1', 'sk-admin-…adm1', 'gpt-5-mini', 'gpt-5-mini, output', 'Chat for customers', '0.25', 'usd']);
  assert.match(cells[0].day, /^\d{4}-\d\d-\d\d$/);
  assert.equal(new Set(cells.map(({ day }) => day)).size, 65, 'days with costs');
  const asked = (await stack.requests()).map(({ uri }) => uri);
  assert.ok(asked.some((uri) => uri.includes('/costs?') && uri.includes('group_by=line_item&group_by=project_id')), asked.join('\n'));

  await page.click('#lang-zh');
  assert.match(await admin.innerText(), /有效\s+30 天共 US\$/);
  await page.setViewportSize(phone);
  await fits(page, 'costs');
  await isAccessible(page, 'costs on a phone');
});

test('a key that may not see costs says so', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: refusals });
  await settled(page);
  await stack.script(['status=403']);
  await check(page, [keys.admin]);
  const admin = await text(page, '#results');
  assert.match(admin, /✗ blocked[\s\S]*The API says \(403\)/);
  assert.doesNotMatch(admin, /\$/);
});

test('one word tests the credit of a key', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: refusals });
  await settled(page);
  await check(page, [keys.api]);
  await page.click('#results .test');
  await page.waitForFunction(() => /works, has credit/.test(document.getElementById('results').innerText));
  assert.match(await text(page, '#results'), /Credit test\s+gpt-5-mini responded: there is credit/);
  assert.equal(await page.evaluate(() => document.activeElement.className), 'test');
  await stack.script(['status=429']);
  await page.click('#results .test');
  await page.waitForFunction(() => /rate-limited/.test(document.getElementById('results').innerText));
  assert.match(await text(page, '#results'), /Credit test\s+The API says \(429\): Rate limit reached.* rate_limit_exceeded/);
  await isAccessible(page, 'credit');
});

test('what is known of keys is exported masked, with its time and place', async (t) => {
  const page = await openPage(t, browser, stack.open, { expected: refusals, acceptDownloads: true });
  await settled(page);
  await check(page, [...Object.values(keys), 'ключ']);
  const { name, rows } = await download(page, '#export');
  assert.equal(name, 'keys.csv');
  assert.equal(rows.length, 5);
  assert.match(rows[0].checked_at, /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.deepEqual([rows[0].base_url, rows[0].key, rows[0].kind, rows[0].state, rows[0].credit_left], [stack.open + '/v1', 'sk-proj-…wxyz', 'api', 'accepted', '']);
  assert.deepEqual([rows[1].key, rows[1].state, rows[1].status, rows[1].code], ['sk-…last', 'invalid', '401', 'invalid_api_key']);
  assert.equal(rows[2].credit_left, '12.5');
  assert.match(rows[3].costs_30_days, /^[\d.]+ usd$/);
});

test('nothing is kept unless it is asked for', async (t) => {
  const page = await openPage(t, browser, stack.token, { expected: refusals });
  await settled(page);
  const stored = () => page.evaluate(() => [localStorage.length, document.cookie, ...Object.values(sessionStorage)]);
  await page.fill('#key-list', keys.api);
  await page.fill('#try-key', keys.session);
  assert.deepEqual(await stored(), [0, '']);
  const security = () => page.evaluate(() => ['key-list', 'try-key', 'token'].map((id) => getComputedStyle(document.getElementById(id)).webkitTextSecurity));
  assert.deepEqual(await security(), ['disc', 'disc', 'disc']);
  await page.check('#show');
  assert.deepEqual(await security(), ['none', 'none', 'none']);
  await page.check('#keep');
  await page.fill('#token', stack.accessToken);
  await page.reload();
  await settled(page);
  assert.deepEqual([await page.inputValue('#key-list'), await page.inputValue('#try-key'), await page.inputValue('#token'), await page.isChecked('#keep')],
    [keys.api, keys.session, stack.accessToken, true]);
  await page.waitForFunction(() => /accepted/.test(document.getElementById('token-state').textContent));
  await page.uncheck('#keep');
  assert.deepEqual(await stored(), [0, '']);
  await page.reload();
  assert.equal(await page.inputValue('#key-list'), '');
});

test('a relay with a token says what is wrong, and of no key that it is invalid', async (t) => {
  const page = await openPage(t, browser, stack.token, { expected: refusals });
  await settled(page);
  await check(page, [keys.api]);
  assert.match(await text(page, '#results'), /\? could not check[\s\S]*The relay says \(401\): This relay.s access token is missing or wrong.* invalid_access_token/);
  await page.fill('#token', stack.accessToken);
  await check(page, [keys.api]);
  assert.match(await text(page, '#results'), /✓ accepted/);
});

test("the relay's own key is checked by the token alone", async (t) => {
  const page = await openPage(t, browser, stack.held, { expected: refusals });
  await settled(page);
  assert.equal(await page.locator('#key-list').isVisible(), false);
  assert.match(await text(page, '#keys'), /This relay adds its own API key/);
  await page.fill('#token', stack.accessToken);
  await page.click('#check');
  await page.waitForSelector('#results .toggle');
  assert.match(await text(page, '#results'), /the relay's own key\s+✓ accepted, credit untested\s+9 models/);
});

test('no key at all', async (t) => {
  const page = await openPage(t, browser, stack.open);
  await settled(page);
  await page.click('#check');
  assert.equal(await text(page, '#keys-news'), 'Enter a key first, such as sk-…');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'key-list');
});
