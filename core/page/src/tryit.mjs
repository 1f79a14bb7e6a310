// A first chat, which shows when each event of the response came.

import { $, button, callout, el, facts, svg } from './dom.mjs';
import { events, howTheyCame, piecesOf, spreadOf } from './events.mjs';
import { onLanguage, t } from './i18n.mjs';
import { cheapest, modelsFor } from './models.mjs';
import { failureOf, failureText, parse, refusal, relay, request, weigh } from './relay.mjs';
import { duration, kindOf, mask, number, splitKeys } from './text.mjs';

// What is sent, and what each event of the response means.
const apis = {
  chat: {
    path: 'v1/chat/completions',
    body: (model, message) => ({ model, stream: true, stream_options: { include_usage: true }, messages: [{ role: 'user', content: message }] }),
    read: (data) => (data === '[DONE]' ? { done: true } : chunk(parse(data) ?? {})),
  },
  responses: {
    path: 'v1/responses',
    body: (model, message) => ({ model, stream: true, store: false, input: message }),
    read: (data) => responseEvent(parse(data) ?? {}),
  },
};

const chunk = ({ choices, usage, error }) => ({
  text: choices?.[0]?.delta?.content ?? '', error,
  tokens: usage && usage.completion_tokens - (usage.completion_tokens_details?.reasoning_tokens ?? 0),
});

function responseEvent({ type, delta, response, error, message, code }) {
  const { usage } = response ?? {};
  return {
    text: type === 'response.output_text.delta' ? delta : '',
    done: type === 'response.completed' || type === 'response.incomplete',
    error: error ?? response?.error ?? (type === 'error' ? { message, code } : null),
    tokens: usage && usage.output_tokens - (usage.output_tokens_details?.reasoning_tokens ?? 0),
  };
}

let turn = null; // what came of the last message
let stop = null;
let changed = () => {};

const listedKey = () => splitKeys($('key-list').value).find((key) => kindOf(key) !== 'admin') ?? '';

// chatKey returns the key of the chat: its own, or the first of those under Keys.
export const chatKey = () => splitKeys($('try-key').value)[0] ?? listedKey();

export const chosenModel = () => $('try-model').value.trim();

// useKey puts a key into the chat's field.
export function useKey(key) {
  $('try-key').value = key;
  $('try-key').dispatchEvent(new Event('input'));
  $('try').scrollIntoView();
  $('try-message').focus({ preventScroll: true });
}

// startTryIt wires the chat. whenChanged is called with another key or model.
export function startTryIt(whenChanged) {
  changed = whenChanged;
  $('try-message').value = t('hello');
  $('try-form').addEventListener('submit', (event) => {
    event.preventDefault();
    if (!stop) send();
  });
  $('try-message').addEventListener('keydown', (event) => {
    // Within an input method, Enter chooses a character.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $('try-form').requestSubmit();
  });
  $('stop').addEventListener('click', () => {
    stop?.abort();
    $('try-message').focus();
  });
  for (const id of ['try-key', 'try-model', 'key-list']) {
    $(id).addEventListener('input', () => {
      renderChat();
      changed();
    });
  }
  $('models').addEventListener('click', toggleModels);
  $('model-filter').addEventListener('input', renderModels);
  onLanguage(() => {
    renderChat();
    renderTurn();
  });
}

// renderChat shows the key's field where the user's own is needed.
export function renderChat() {
  const held = Boolean(relay.health?.holds_key);
  $('try-key-box').hidden = held;
  $('try-held').hidden = !held;
  $('try-key').placeholder = listedKey() ? mask(listedKey()) : 'sk-…';
}

let listed = null; // the models of the list that is shown

async function toggleModels() {
  const open = $('models').getAttribute('aria-expanded') !== 'true';
  $('models').setAttribute('aria-expanded', open);
  $('model-box').hidden = !open;
  if (!open) return;
  listed = null;
  $('model-list').replaceChildren(el('li', null, '…'));
  const { models, failure } = needsKey() ? { failure: { word: 'no_keys' } } : await modelsFor(chatKey());
  if (failure) {
    $('model-list').replaceChildren(el('li', null, failureText(failure)));
    return;
  }
  listed = models;
  renderModels();
  $('model-filter').focus();
}

function renderModels() {
  const words = $('model-filter').value.toLowerCase().split(/\s+/);
  const ids = (listed ?? []).map(({ id }) => id).filter((id) => words.every((word) => id.toLowerCase().includes(word))).sort();
  $('model-list').replaceChildren(...(ids.length ? ids.map((id) => el('li', null, button(id, () => chooseModel(id), { class: 'code' }))) : [el('li', null, t('none'))]));
}

function chooseModel(id) {
  $('try-model').value = id;
  $('models').setAttribute('aria-expanded', false);
  $('model-box').hidden = true;
  $('try-message').focus();
  changed();
}

const needsKey = () => !relay.health?.holds_key && !chatKey();

async function send() {
  const key = relay.health?.holds_key ? '' : chatKey();
  $('try').classList.add('began');
  $('answer').replaceChildren();
  if (needsKey()) {
    turn = { note: 'no_keys', arrivals: [] };
    renderTurn();
    $('try-key').focus();
    return;
  }
  const api = apis[$('try-api').value];
  stop = new AbortController();
  const mine = turn = { start: performance.now(), arrivals: [] };
  setBusy(true);
  renderTurn();
  try {
    await findModel(mine, key);
    if (!mine.failure) await listen(mine, api, key);
  } catch {
    if (stop.signal.aborted) mine.note = 'stopped';
    else if (mine.began) {
      mine.note = 'broken';
      weigh({ from: 'other' });
    }
    else mine.failure = { word: 'unreachable' };
  }
  mine.end = performance.now();
  stop = null;
  setBusy(false);
  renderTurn();
}

// findModel chooses a model if the user has not.
async function findModel(turn, key) {
  if (chosenModel()) return;
  const { models, failure } = await modelsFor(key, stop.signal);
  if (stop.signal.aborted) throw stop.signal.reason;
  const model = models && cheapest(models);
  if (failure) {
    turn.failure = failure;
    if (failure.code === 'token_not_allowed') turn.note = 'no_model'; // others may be permitted
  } else if (!model) turn.failure = { word: 'no_model' };
  else {
    $('try-model').value = model;
    changed();
    turn.start = performance.now();
  }
}

async function listen(turn, api, key) {
  turn.failure = refusal(api.path, key);
  if (turn.failure) return;
  const res = await request(api.path, { key, signal: stop.signal, body: api.body(chosenModel(), $('try-message').value) });
  turn.route = res.headers.get('X-Relay-Upstream');
  turn.attempts = res.headers.get('X-Relay-Attempts');
  if (!res.ok || !/^text\/event-stream/.test(res.headers.get('Content-Type') ?? '')) {
    turn.failure = failureOf(res, await res.text(), key);
    weigh(turn.failure);
    return;
  }
  turn.began = true;
  let done = false;
  for await (const { data, at, piece } of events(res)) {
    const said = api.read(data);
    done ||= said.done;
    turn.tokens = said.tokens ?? turn.tokens;
    if (said.error) {
      // The relay's own errors say so by their type.
      turn.failure = { from: said.error.type === 'relay_error' ? 'relay' : 'api', code: said.error.code ?? '', message: said.error.message };
    }
    if (!said.text) continue;
    turn.arrivals.push({ at, piece });
    append(said.text);
    if (turn.arrivals.length === 1) renderTurn();
  }
  if (!done && !turn.failure) turn.note = 'cut';
}

// append keeps the end in sight, unless the reader has scrolled up.
function append(text) {
  const box = $('answer');
  const follows = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  box.append(text);
  if (follows) box.scrollTop = box.scrollHeight;
}

// setBusy leaves the button to send enabled, which would lose the focus.
function setBusy(busy) {
  $('send').setAttribute('aria-disabled', busy);
  $('stop').hidden = !busy;
  $('try').classList.toggle('busy', busy);
  $('answer').setAttribute('aria-busy', busy);
}

function renderTurn() {
  if (!turn) return;
  const { start, end, arrivals, tokens, failure, note, route, attempts } = turn;
  const spread = spreadOf(arrivals);
  const waited = arrivals.length ? arrivals[0].at - start : 0;
  const how = howTheyCame(arrivals, { waited });
  const came = t('came_' + how, { n: number(arrivals.length), reads: number(piecesOf(arrivals)), ms: duration(spread) });
  $('figures').replaceChildren(
    failure ? failureText(failure) : '',
    note ? el('div', { role: 'alert' }, callout(note === 'stopped' ? '' : 'bad', t(note))) : '',
    el('dl', null, facts([
      [t('ttft'), arrivals.length && duration(waited)],
      [t('arrival'), end && arrivals.length && el('span', { class: { one: 'good', once: 'warn', bursts: 'warn' }[how] }, (how === 'one' ? '✓ ' : '') + came)],
      [t('speed'), end && tokens > 1 && spread > 20 && t('per_second', { n: number(((tokens - 1) / spread) * 1000, { maximumFractionDigits: 1 }) })],
      [t('total'), end && tokens && t('total_value', { ms: duration(end - start), n: number(tokens) })],
      [t('route'), route && t('attempts', { name: route, n: attempts ?? '1' })],
    ])),
    end && arrivals.length ? ticks(arrivals, start, end, came) : '');
}

// ticks draws when events came, from the question to the end of the response.
function ticks(arrivals, start, end, label) {
  const d = arrivals.map(({ at }) => `M${(((at - start) / (end - start)) * 100).toFixed(2)} 2V20`).join('');
  return svg('svg', { class: 'ticks', viewBox: '0 0 100 20', preserveAspectRatio: 'none', role: 'img', 'aria-label': label }, svg('path', { d }));
}
