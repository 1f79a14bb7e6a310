// Keys: what each is good for. They are checked from here, some at a time.

import { balanceOf, balanceText } from './balance.mjs';
import { costsOf, costsText, totals } from './costs.mjs';
import { $, el, facts } from './dom.mjs';
import { onLanguage, t } from './i18n.mjs';
import { ask, failureText, relay } from './relay.mjs';
import { csv, kindOf, mask, number, splitKeys } from './text.mjs';

const atOnce = 3;
const storageName = 'relay-page';

let results = [];
let run = 0; // a check that is no longer the last one shows nothing any more
const keyListeners = [];

// onKeys calls f when the keys change, or what is known of them.
export const onKeys = (f) => keyListeners.push(f);

const changed = () => keyListeners.forEach((f) => f());

export const typedKeys = () => (relay.health?.holds_key ? [''] : splitKeys($('key-list').value));

export const nameOf = (key) => (key === '' ? t('kind_held') : mask(key));

export const knownModels = () => [...new Set(results.flatMap(({ models }) => models ?? []))].sort();

// startKeys wires the form. tokenChanged is called with a new access token.
export function startKeys(tokenChanged) {
  restore();
  $('keys-form').addEventListener('submit', (event) => {
    event.preventDefault();
    checkAll();
  });
  $('token').addEventListener('input', () => {
    relay.token = $('token').value.trim();
    store();
  });
  $('token').addEventListener('change', tokenChanged);
  $('key-list').addEventListener('input', () => {
    store();
    changed();
  });
  $('show').addEventListener('change', ({ target }) => $('keys-form').classList.toggle('shown', target.checked));
  $('keep').addEventListener('change', store);
  $('clear-invalid').addEventListener('click', clearInvalid);
  $('export').addEventListener('click', download);
  onLanguage(renderKeys);
}

// restore and store keep keys and token in this tab, if the user asks for it.
function restore() {
  const kept = JSON.parse(sessionStorage.getItem(storageName) ?? 'null');
  if (!kept) return;
  $('keep').checked = true;
  $('key-list').value = kept.keys;
  $('token').value = relay.token = kept.token;
}

function store() {
  if ($('keep').checked) sessionStorage.setItem(storageName, JSON.stringify({ keys: $('key-list').value, token: relay.token }));
  else sessionStorage.removeItem(storageName);
}

async function checkAll() {
  const keys = typedKeys();
  const mine = ++run;
  results = keys.map((key) => ({ key, kind: key === '' ? 'held' : kindOf(key), card: el('li') }));
  renderKeys();
  if (keys.length === 0) {
    $('keys-news').textContent = t('no_keys');
    $('key-list').focus();
    return;
  }
  const waiting = [...results];
  const work = async () => {
    for (let r; mine === run && (r = waiting.shift());) {
      await check(r);
      if (mine === run) renderKeys(r);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

async function check(r) {
  if (/[^\x21-\x7e]/.test(r.key)) return Object.assign(r, { state: 'invalid', failure: { word: 'malformed', code: 'malformed' } });
  if (r.kind === 'admin') {
    const costs = await costsOf(r.key);
    return Object.assign(r, { state: stateOf(costs.failure), failure: costs.failure, costs: costs.failure ? null : costs });
  }
  const { failure, headers, json } = await ask('v1/models', { key: r.key });
  Object.assign(r, { failure, limits: headers && limitsOf(headers), models: failure ? null : (json.data ?? []).map(({ id }) => id).sort() });
  const state = stateOf(failure);
  if (state === 'valid' || state === 'limited') {
    [r.balance, r.word] = await Promise.all([balanceOf(r.key), $('probe').checked ? oneWord(r.key) : null]);
    r.limits = r.word?.limits ?? r.limits;
  }
  r.state = state === 'valid' && r.word?.failure?.status === 429 ? 'limited' : state;
}

// stateOf tells what an answer means for the key. Who is no API knows nothing
// of keys.
function stateOf(failure) {
  if (!failure) return 'valid';
  if (failure.from !== 'api' || failure.status >= 500) return 'unknown';
  return { 401: 'invalid', 429: 'limited' }[failure.status] ?? 'refused';
}

async function oneWord(key) {
  const model = $('try-model').value;
  const { failure, headers } = await ask('v1/chat/completions', {
    key, body: { model, max_completion_tokens: 16, messages: [{ role: 'user', content: 'Say one word.' }] },
  });
  return { failure, model, limits: headers && limitsOf(headers) };
}

function limitsOf(headers) {
  const said = (name, what) => headers.get(`x-ratelimit-${name}-${what}`);
  const limits = ['requests', 'tokens'].filter((what) => said('limit', what))
    .map((what) => ({ what, limit: said('limit', what), left: said('remaining', what), reset: said('reset', what) }));
  return limits.length > 0 ? limits : null;
}

export function renderKeys(only) {
  for (const r of only ? [only] : results) renderCard(r);
  if (!only) $('results').replaceChildren(...results.map(({ card }) => card));
  const held = Boolean(relay.health?.holds_key);
  $('key-list').disabled = held;
  $('token-hint').textContent = relay.health ? t(relay.health.token_required ? 'token_needed' : 'token_free') : '…';
  const count = (state) => results.filter((r) => r.state === state).length;
  const done = results.filter((r) => r.state).length;
  $('keys-news').textContent = results.length === 0 ? ''
    : t('progress', { done, all: results.length, valid: count('valid'), invalid: count('invalid') });
  $('clear-invalid').disabled = count('invalid') === 0;
  $('export').disabled = done === 0;
  changed();
}

const looks = { valid: ['good', '✓ '], invalid: ['bad', '✗ '], limited: ['warn', '! '], refused: ['bad', '✗ '], unknown: ['warn', '? '] };

function renderCard({ key, kind, state, failure, models, limits, word, balance, costs, card }) {
  const [look, sign] = looks[state] ?? ['', ''];
  card.replaceChildren(
    el('h3', null, el('span', { class: 'code' }, nameOf(key)), ' ', el('span', { class: look }, state ? sign + t(state) : t('checking'))),
    state && el('dl', null, facts([
      [t('kind'), t('kind_' + kind)],
      [t('answer'), failure && failureText(failure)],
      [t('models'), models && el('details', null, el('summary', null, t('models_n', { n: number(models.length) })), el('code', null, models.join(', ')))],
      [t('one_word'), word && (word.failure ? failureText(word.failure) : t('one_word_ok', { model: word.model }))],
      [t('limits'), models && (limits ? limits.map((l) => el('p', null, t('limit_one', { ...l, what: t(l.what), left: l.left ?? '?', reset: l.reset ?? '?' }))) : t('limits_unsaid'))],
      [t('balance'), balance && balanceText(balance)],
      [t('costs'), costs && costsText(costs)],
    ])) || '');
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
  const head = ['key', 'kind', 'state', 'status', 'code', 'message', 'models', 'limit_requests', 'limit_tokens',
    'credit_left', 'credit_granted', 'credit_used', 'used_30_days_usd', 'costs_30_days'];
  const rows = results.filter((r) => r.state).map(({ key, kind, state, failure: f, models, limits, word, balance: b, costs }) => {
    const why = f ?? word?.failure ?? {};
    const limit = (what) => limits?.find((l) => l.what === what)?.limit;
    const sums = costs && [...totals(costs)].map(([currency, sum]) => `${sum} ${currency}`).join(' + ');
    return [mask(key), kind, state, why.status, why.code, why.word ? t(why.word) : why.message, models?.length, limit('requests'), limit('tokens'),
      b?.left, b?.granted, b?.used, b?.used30, sums];
  });
  const link = el('a', { href: URL.createObjectURL(new Blob([csv([head, ...rows])], { type: 'text/csv' })), download: 'keys.csv' });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
