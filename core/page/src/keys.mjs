// Keys: what each is good for. They are checked from here, some at a time.

import { balanceOf, balanceText, forgetRefusals } from './balance.mjs';
import { costsOf, costsPanel, totals } from './costs.mjs';
import { $, button, copy, el, facts, save, signs } from './dom.mjs';
import { store } from './access.mjs';
import { onLanguage, t } from './i18n.mjs';
import { cheapest, forgetModels, modelsFor } from './models.mjs';
import { ask, base, failureText, relay, sentence } from './relay.mjs';
import { csv, isMalformed, joined, kindOf, mask, money, number, splitKeys } from './text.mjs';
import { chosenModel, useKey } from './tryit.mjs';

const atOnce = 3;

let results = [];
let run = null; // ends the check that is under way

const typedKeys = () => (relay.health?.holds_key ? [''] : splitKeys($('key-list').value));

const nameOf = (key) => (key === '' ? t('kind_held') : mask(key));

export function startKeys() {
  $('keys-form').addEventListener('submit', (event) => {
    event.preventDefault();
    checkAll();
  });
  $('stop-check').addEventListener('click', () => run?.abort());
  $('filter').addEventListener('change', renderFilter);
  $('copy-valid').addEventListener('click', ({ target }) => copy(results.filter(isUsable).map(({ key }) => key).join('\n'), target, 'copy_valid'));
  $('clear-invalid').addEventListener('click', clearInvalid);
  $('export').addEventListener('click', download);
  onLanguage(renderKeys);
}

async function checkAll() {
  run?.abort();
  const keys = typedKeys();
  const mine = run = new AbortController();
  forgetModels();
  forgetRefusals();
  results = keys.map((key) => ({ key, kind: key === '' ? 'held' : kindOf(key), card: el('li'), open: keys.length === 1 }));
  if (keys.length === 0) {
    run = null;
    renderKeys();
    $('keys-news').textContent = t('no_keys');
    $('key-list').focus();
    return;
  }
  renderKeys();
  const waiting = [...results];
  const work = async () => {
    for (let r; (r = waiting.shift());) {
      if (!mine.signal.aborted) await check(r, mine.signal);
      if (mine.signal.aborted) Object.assign(r, { state: r.state ?? 'unchecked', failure: r.failure ?? { word: 'stopped' } });
      if (results.includes(r)) renderKeys(r);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  if (run === mine) run = null;
  renderKeys([]);
}

async function check(r, signal) {
  if (isMalformed(r.key)) return Object.assign(r, { state: 'invalid', failure: { word: 'malformed' } });
  if (r.kind === 'admin') {
    const costs = await costsOf(r.key, 30, signal);
    return Object.assign(r, costs.failure ? { state: stateOf(costs.failure), failure: costs.failure } : { state: 'admin', costs });
  }
  const { failure, headers, models } = await modelsFor(r.key, signal);
  Object.assign(r, { failure, limits: headers && limitsOf(headers), models });
  const state = stateOf(failure);
  if (state === 'accepted') r.balance = await balanceOf(r.key, signal);
  r.state = state;
}

// stateOf tells what a response means for the key. Who is no API knows nothing of
// keys. APIs say by code or message what their statuses leave open.
export function stateOf(failure) {
  if (!failure) return 'accepted';
  const { from, status, code, type, message } = failure;
  if (from !== 'api' || status >= 500) return 'unchecked';
  const said = `${code} ${type} ${message}`;
  if (/^rate_limit/.test(code)) return 'limited'; // whose message names the page of bills
  if (status === 402 || /quota|billing_|insufficient.(balance|credit|fund)|余额|额度/i.test(said)) return 'nocredit';
  if (/unsupported_country|permission|missing scopes|not.authorized|allowlist/i.test(said)) return 'blocked';
  if (status === 429) return 'limited';
  if (status === 401 || /invalid.(api.key|token)|incorrect api key|无效/i.test(said)) return 'invalid';
  return status === 403 ? 'blocked' : 'unchecked';
}

// testCredit has a key respond with one word, which nothing but credit can pay.
async function testCredit(r) {
  r.testing = true;
  renderKeys(r);
  const model = cheapest(r.models ?? []) || chosenModel();
  const { failure, headers } = !model ? { failure: { word: 'no_model' } } : await ask('v1/chat/completions', {
    key: r.key, body: { model, max_completion_tokens: 16, messages: [{ role: 'user', content: 'Say one word.' }] },
  });
  Object.assign(r, { testing: false, credit: { failure, model }, limits: (headers && limitsOf(headers)) ?? r.limits });
  const state = stateOf(failure);
  if (!failure) r.state = 'works';
  else if (state !== 'unchecked') r.state = state;
  r.open = true;
  renderKeys(r);
  r.card.querySelector('.test')?.focus();
}

function limitsOf(headers) {
  const said = (name, what) => headers.get(`x-ratelimit-${name}-${what}`);
  const limits = ['requests', 'tokens'].filter((what) => said('limit', what))
    .map((what) => ({ what, limit: said('limit', what), left: said('remaining', what), reset: said('reset', what) }));
  return limits.length > 0 ? limits : null;
}

const looks = {
  works: 'good', accepted: 'good', admin: 'good', nocredit: 'warn', limited: 'warn', blocked: 'bad', invalid: 'bad', unchecked: 'warn',
};

const isUsable = ({ state }) => looks[state] === 'good';

// renderKeys renders all keys, or only one whose result has changed.
export function renderKeys(only) {
  for (const r of only ? [only].flat() : results) renderCard(r);
  if (!only) $('results').replaceChildren(...results.map(({ card }) => card));
  renderForm();
}

// renderForm renders what is around the results.
export function renderForm() {
  const held = Boolean(relay.health?.holds_key);
  $('key-list-box').hidden = held;
  $('keys-hint').textContent = t(held ? 'held' : 'keys_hint');
  const done = results.filter((r) => r.state).length;
  $('keys-news').textContent = results.length === 0 ? ''
    : t('progress', { done, all: results.length, usable: results.filter(isUsable).length });
  const focused = [$('check'), $('stop-check')].includes(document.activeElement);
  $('check').hidden = Boolean(run);
  $('stop-check').hidden = !run;
  if (focused) $(run ? 'stop-check' : 'check').focus();
  $('results-bar').hidden = results.length === 0;
  $('clear-invalid').disabled = !results.some(({ state }) => state === 'invalid');
  $('copy-valid').disabled = !results.some(isUsable) || held;
  $('export').disabled = done === 0;
  renderFilter();
}

// renderFilter offers the states that there are, and hides what was not chosen.
function renderFilter() {
  const chosen = $('filter').value;
  const counts = new Map();
  for (const { state } of results) if (state) counts.set(state, (counts.get(state) ?? 0) + 1);
  $('filter').replaceChildren(el('option', { value: '' }, `${t('all')} (${results.length})`),
    ...Object.keys(looks).filter((state) => counts.has(state)).map((state) => el('option', { value: state }, `${t('key_' + state)} (${counts.get(state)})`)));
  $('filter').value = counts.has(chosen) ? chosen : '';
  $('filter').hidden = results.length < 2;
  for (const { state, card } of results) card.hidden = $('filter').value !== '' && state !== $('filter').value;
}

// brief is what of a key stands in its row.
function brief({ models, balance, costs }) {
  return joined([
    models && t('models_n', { n: number(models.length) }),
    balance?.left != null && t('credit_left', { left: money(balance.left) }),
    costs && totals(costs).map(([currency, sum]) => t('costs_sum', { sum: money(sum, currency), n: costs.days })).join(' + '),
  ]);
}

function renderCard(r) {
  const { key, kind, state, failure, models, limits, credit, balance, costs, card } = r;
  const focused = card.contains(document.activeElement) && document.activeElement.className;
  const more = el('div', { class: 'more', hidden: r.open ? null : '' }, state && el('dl', null, facts([
    [t('answer'), failure && failureText(failure)],
    [t('models'), models && el('details', null, el('summary', null, t('models_n', { n: number(models.length) })),
      el('code', null, models.map(({ id }) => id).sort().join(', ')))],
    [t('credit_test'), credit && (credit.failure ? failureText(credit.failure) : t('credit_ok', { model: credit.model }))],
    [t('limits'), models && (limits ? limits.map((l) => el('p', null, t('limit_one', { ...l, what: t(l.what), left: l.left ?? '?', reset: l.reset ?? '?' }))) : t('limits_unsaid'))],
    [t('balance'), balance && balanceText(balance)],
  ])), costs && costsPanel(key, costs));
  const toggle = button(t('details'), () => {
    r.open = more.hidden;
    more.hidden = !r.open;
    toggle.setAttribute('aria-expanded', r.open);
  }, { class: 'toggle', 'aria-expanded': Boolean(r.open) });
  card.replaceChildren(el('div', { class: 'key-row' },
    el('h3', { class: 'code' }, nameOf(key)),
    el('span', { class: looks[state] ?? 'hint' }, state ? `${state === 'unchecked' ? '?' : signs[looks[state]]} ${t('key_' + state)}` : t('checking')),
    el('span', { class: 'hint grow' }, brief(r)),
    state && kind !== 'admin' && state !== 'invalid' && button(t(r.testing ? 'checking' : 'test_credit'), () => r.testing || testCredit(r), { class: 'test' }),
    state && kind !== 'admin' && kind !== 'held' && isUsable(r) && button(t('use_key'), () => useKey(key), { class: 'use' }),
    state && toggle), more);
  if (focused) card.querySelector('.' + focused.split(' ')[0])?.focus();
}

function clearInvalid() {
  const invalid = new Set(results.filter((r) => r.state === 'invalid').map(({ key }) => key));
  $('key-list').value = splitKeys($('key-list').value).filter((key) => !invalid.has(key)).join('\n');
  results = results.filter(({ key }) => !invalid.has(key));
  store();
  renderKeys();
  $('key-list').focus();
}

// download hands out what is known as a file, with masked keys.
function download() {
  const head = ['checked_at', 'base_url', 'key', 'kind', 'state', 'status', 'code', 'message', 'models', 'limit_requests', 'limit_tokens',
    'credit_left', 'credit_granted', 'credit_used', 'used_30_days_usd', 'costs_30_days'];
  const now = new Date().toISOString();
  const rows = results.filter((r) => r.state).map(({ key, kind, state, failure: f, models, limits, credit, balance: b, costs }) => {
    const why = f ?? credit?.failure ?? {};
    const limit = (what) => limits?.find((l) => l.what === what)?.limit;
    const sum = costs && totals(costs).map(([currency, value]) => `${value} ${currency}`).join(' + ');
    return [now, base, mask(key), kind, state, why.status, why.code ?? why.word, sentence(why), models?.length,
      limit('requests'), limit('tokens'), b?.left, b?.granted, b?.used, b?.used30, sum];
  });
  save('keys.csv', csv([head, ...rows]));
}
