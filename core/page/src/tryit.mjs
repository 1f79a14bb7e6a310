// A first chat, which shows when each event of the answer came.

import { $, el, facts, svg } from './dom.mjs';
import { events, howTheyCame, piecesOf, spreadOf } from './events.mjs';
import { onLanguage, t } from './i18n.mjs';
import { knownModels, nameOf, onKeys, typedKeys } from './keys.mjs';
import { failureOf, failureText, parse, relay, request } from './relay.mjs';
import { duration, kindOf, number } from './text.mjs';

// What is asked, and what each event of the answer means.
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

export function startTryIt() {
  $('try-message').value = t('hello');
  $('try-form').addEventListener('submit', (event) => {
    event.preventDefault();
    if (!stop) send();
  });
  $('try-message').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) $('try-form').requestSubmit();
  });
  $('stop').addEventListener('click', () => stop?.abort());
  onKeys(renderChoices);
  onLanguage(() => {
    renderChoices();
    renderTurn();
  });
}

function renderChoices() {
  const select = $('try-key');
  const chosen = select.value;
  const keys = typedKeys().filter((key) => kindOf(key) !== 'admin');
  select.replaceChildren(...(keys.length ? keys.map((key) => el('option', { value: key }, nameOf(key))) : [el('option', { value: '' }, t('key_none'))]));
  if (keys.includes(chosen)) select.value = chosen;
  $('models').replaceChildren(...knownModels().map((id) => el('option', { value: id })));
}

async function send() {
  const key = $('try-key').value;
  if (!key && !relay.health?.holds_key) {
    turn = { note: 'no_keys', arrivals: [] };
    renderTurn();
    $('key-list').focus();
    return;
  }
  const api = apis[$('try-api').value];
  stop = new AbortController();
  turn = { start: performance.now(), arrivals: [] };
  setBusy(true);
  $('answer').replaceChildren();
  renderTurn();
  try {
    await listen(turn, api, key);
  } catch (error) {
    if (stop.signal.aborted) turn.note = 'stopped';
    else if (turn.began) turn.note = 'broken';
    else turn.failure = { word: 'unreachable' };
  }
  turn.end = performance.now();
  stop = null;
  setBusy(false);
  renderTurn();
}

async function listen(turn, api, key) {
  const res = await request(api.path, { key, signal: stop.signal, body: api.body($('try-model').value.trim(), $('try-message').value) });
  turn.route = res.headers.get('X-Relay-Upstream');
  turn.attempts = res.headers.get('X-Relay-Attempts');
  if (!res.ok || !/^text\/event-stream/.test(res.headers.get('Content-Type') ?? '')) {
    turn.failure = failureOf(res, await res.text(), key);
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
    $('answer').append(said.text);
    if (turn.arrivals.length === 1) renderTurn();
  }
  if (!done && !turn.failure) turn.note = 'cut';
}

function setBusy(busy) {
  $('send').disabled = busy;
  $('stop').disabled = !busy;
  $('answer').setAttribute('aria-busy', busy);
}

function renderTurn() {
  if (!turn) return;
  const { start, end, arrivals, tokens, failure, note, route, attempts } = turn;
  const spread = spreadOf(arrivals);
  const waited = arrivals.length ? arrivals[0].at - start : 0;
  const how = howTheyCame(arrivals, { waited });
  const n = tokens ?? arrivals.length;
  const came = t('came_' + how, { n: number(arrivals.length), reads: number(piecesOf(arrivals)), ms: duration(spread) });
  $('figures').replaceChildren(
    failure ? failureText(failure) : '',
    note ? el('p', { class: 'bad', role: 'alert' }, t(note)) : '',
    el('dl', null, facts([
      [t('ttft'), arrivals.length && duration(waited)],
      [t('arrival'), end && arrivals.length && el('span', { class: { one: 'good', once: 'bad', bursts: 'warn' }[how] ?? '' }, (how === 'one' ? '✓ ' : '') + came)],
      [t('speed'), end && n > 1 && spread > 20 && t(tokens ? 'per_second' : 'events_second', { n: number(((n - 1) / spread) * 1000, { maximumFractionDigits: 1 }) })],
      [t('total'), end && tokens && t('total_value', { ms: duration(end - start), n: number(tokens) })],
      [t('route'), route && t('attempts', { name: route, n: attempts ?? '1' })],
    ]).flat()),
    end && arrivals.length ? ticks(arrivals, start, end, came) : '');
}

// ticks draws when events came, from the question to the end of the answer.
function ticks(arrivals, start, end, label) {
  const d = arrivals.map(({ at }) => `M${(((at - start) / (end - start)) * 100).toFixed(2)} 2V20`).join('');
  return svg('svg', { class: 'ticks', viewBox: '0 0 100 20', preserveAspectRatio: 'none', role: 'img', 'aria-label': label }, svg('path', { d }));
}
