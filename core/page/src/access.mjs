// The access token, where the relay wants one, what it permits, and what of it and
// of keys is kept.

import { $, signs } from './dom.mjs';
import { onLanguage, t } from './i18n.mjs';
import { forgetModels } from './models.mjs';
import { ask, relay } from './relay.mjs';
import { ago, cleanToken, day, isMalformed, joined } from './text.mjs';

const storageName = 'relay-page';

const week = 7 * 86400e3; // ms

let state = ''; // what is known of the token: '', checking, good, wrong, expired, malformed or unknown
let changed = () => {};

// startAccess wires the token's field. tokenChanged is called when the token
// changes, and with the relay's health when it has been checked.
export function startAccess(tokenChanged) {
  changed = tokenChanged;
  restore();
  $('token').addEventListener('input', () => {
    relay.token = cleanToken($('token').value);
    state = isMalformed(relay.token) ? 'malformed' : '';
    store();
    renderAccess();
    changed();
  });
  $('token').addEventListener('change', checkToken);
  $('access-form').addEventListener('submit', (event) => {
    event.preventDefault();
    checkToken();
  });
  $('keep').addEventListener('change', store);
  $('show').addEventListener('change', ({ target }) => $('page').classList.toggle('shown', target.checked));
  for (const id of kept) $(id).addEventListener('input', store);
  onLanguage(renderAccess);
}

let checking = null; // the token that is being checked

// checkToken finds out whether the relay accepts the token, by calls without a key.
async function checkToken() {
  const token = relay.token;
  if (!token || isMalformed(token) || checking === token) return;
  checking = token;
  state = 'checking';
  renderAccess();
  forgetModels();
  const { json } = await ask('relay/health');
  // Who is told of upstreams is known. Why others are not, another call says; the
  // API's own refusal of it means that the relay has let it pass.
  const { failure } = json?.upstreams ? {} : await ask('v1/models');
  checking = null;
  if (relay.token !== token) return;
  state = !failure || failure.from === 'api' ? 'good'
    : { invalid_access_token: 'wrong', token_expired: 'expired' }[failure.code] ?? 'unknown';
  changed(json);
  renderAccess();
}

// resumeToken checks a token that was kept, once the relay is known to want it, and
// one of which health now says something else.
export function resumeToken() {
  const { token_required, upstreams } = relay.health ?? {};
  if (token_required && (!state || (state === 'good') !== Boolean(upstreams))) checkToken();
}

// named returns what health says of the token, if it has a name and is accepted.
const named = () => (state === 'good' && relay.health?.token) || {};

// tokenFacts returns the token's name and end, and its limits; nothing if it has no
// name.
export function tokenFacts() {
  const { name, expires, paths, methods, max_in_flight, per_minute } = named();
  const end = Date.parse(expires);
  return name ? [
    joined([name, end && t('expires', { day: day(end / 1000, { timeStyle: 'short' }) })]),
    joined([
      per_minute && t('per_minute', { n: per_minute }), max_in_flight && t('at_once', { n: max_in_flight }), methods?.join(', '), paths?.join(', '),
    ]) || t('none'),
  ] : [];
}

// renderAccess shows the field where it is needed.
export function renderAccess() {
  const { token_required, holds_key } = relay.health ?? {};
  $('access').hidden = !token_required;
  $('access-hint').textContent = t('token_hint') + (holds_key ? ' ' + t('held') : '');
  const { name, expires } = named();
  const left = Date.parse(expires) - Date.now();
  const soon = left < week && t('token_ends', { when: ago(-Math.max(left, 0)) });
  const look = soon ? 'warn' : { '': '', checking: '', good: 'good', unknown: 'warn' }[state] ?? 'bad';
  $('token-state').textContent = state && (look && signs[look] + ' ') + joined([t(look ? 'token_' + state : state), name, soon]);
  $('token-state').className = look || 'hint';
  $('token').setAttribute('aria-invalid', look === 'bad');
}

// The fields that are kept in this tab, if the user wants that.
const kept = ['token', 'key-list', 'try-key'];

// A browser may have no storage, for instance if it blocks all cookies, and
// others may have written to it.
function restore() {
  let fields;
  try {
    fields = JSON.parse(sessionStorage.getItem(storageName) ?? 'null');
  } catch {
    return;
  }
  if (typeof fields !== 'object' || !fields) return;
  $('keep').checked = true;
  for (const id of kept) if (typeof fields[id] === 'string') $(id).value = fields[id];
  relay.token = cleanToken($('token').value);
}

export function store() {
  try {
    if ($('keep').checked) sessionStorage.setItem(storageName, JSON.stringify(Object.fromEntries(kept.map((id) => [id, $(id).value]))));
    else sessionStorage.removeItem(storageName);
  } catch { /* then nothing is kept */ }
}
