// The access token, where the relay wants one, and what of it and of keys is kept.

import { $ } from './dom.mjs';
import { onLanguage, t } from './i18n.mjs';
import { forgetModels } from './models.mjs';
import { ask, relay } from './relay.mjs';
import { cleanToken, isMalformed } from './text.mjs';

const storageName = 'relay-page';

let state = ''; // what is known of the token: '', checking, good, wrong, malformed or unknown
let changed = () => {};

// startAccess wires the token's field. tokenChanged is called with a new token.
export function startAccess(tokenChanged) {
  changed = tokenChanged;
  restore();
  $('token').addEventListener('input', () => {
    relay.token = cleanToken($('token').value);
    state = isMalformed(relay.token) ? 'malformed' : '';
    store();
    renderAccess();
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

// checkToken finds out whether the relay takes the token, by a call without a key.
async function checkToken() {
  const token = relay.token;
  if (!token || isMalformed(token) || checking === token || (state === 'good')) return;
  checking = token;
  state = 'checking';
  renderAccess();
  forgetModels();
  const { failure } = await ask('v1/models');
  checking = null;
  if (relay.token !== token) return;
  // The API's own refusal means that the relay has let the call pass.
  state = !failure || failure.from === 'api' ? 'good' : failure.code === 'invalid_access_token' ? 'wrong' : 'unknown';
  renderAccess();
  changed();
}

// resumeToken checks a token that was kept, once the relay is known to want it.
export function resumeToken() {
  if (state === '' && relay.health?.token_required) checkToken();
}

// renderAccess shows the field where it is needed.
export function renderAccess() {
  const { token_required, holds_key } = relay.health ?? {};
  $('access').hidden = !token_required;
  $('access-hint').textContent = t('token_hint') + (holds_key ? ' ' + t('held') : '');
  $('token-state').textContent = state && t(state === 'checking' ? state : 'token_' + state);
  $('token-state').className = { good: 'good', wrong: 'bad', malformed: 'bad', unknown: 'warn' }[state] ?? 'hint';
  $('token').setAttribute('aria-invalid', state === 'wrong' || state === 'malformed');
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
