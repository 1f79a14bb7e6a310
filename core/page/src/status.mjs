// Whether this relay works, what it is, and whether streams stream.

import { tokenFacts } from './access.mjs';
import { $, callout, copyButton, el, facts, signs, svg } from './dom.mjs';
import { events, howTheyCame, spreadOf } from './events.mjs';
import { showUpstreams } from './gateway.mjs';
import { onLanguage, t } from './i18n.mjs';
import { qr } from './qr.mjs';
import { ask, base, failureText, onDoubt, parse, relay, request } from './relay.mjs';
import { ago, duration, joined, megabytes } from './text.mjs';

const ageEvery = 5000; // ms between two updates of the age
const doubtEvery = 5000; // ms between two checks for calls that failed

const state = { failure: null, deep: null, stream: null, busy: false, at: 0, wellAt: 0 };
let known = () => {};

// What the codes of a deep check do not say by themselves.
const upstreamWords = { unsupported_country_region_territory: 'up_region', upstream_unexpected_status: 'up_status' };

// startStatus shows the relay's state. known is called when health has responded,
// now and whenever it is called again.
export function startStatus(whenKnown) {
  known = whenKnown;
  $('base').value = base;
  $('base').addEventListener('focus', ({ target }) => target.select());
  $('recheck').addEventListener('click', checkStatus);
  let doubted = -doubtEvery;
  onDoubt(() => {
    if (performance.now() - doubted < doubtEvery) return;
    doubted = performance.now();
    checkStatus();
  });
  onLanguage(() => {
    $('copy-base').replaceChildren(copyButton(() => base, { class: 'main copy' }));
    renderQR();
    renderStatus();
  });
  setInterval(renderAge, ageEvery);
  checkStatus();
}

// takeHealth takes in what the relay says of itself.
export function takeHealth(health) {
  relay.health = health;
  showUpstreams(health);
}

export async function checkStatus() {
  if (state.busy) return;
  state.busy = true;
  renderStatus();
  // One after the other: on a function platform, three at a time are three starts.
  const shallow = await ask('relay/health');
  state.at = performance.now();
  state.failure = shallow.json?.name ? null : shallow.failure ?? { word: 'unreachable' };
  if (!state.failure) {
    state.wellAt = state.at;
    takeHealth(shallow.json);
  }
  known();
  if (!state.failure) {
    renderStatus();
    const { json, failure } = await ask('relay/health?deep=1'); // a 503 has its reason in it
    state.deep = json?.upstream ?? { ok: false, failure: failure ?? { word: 'unreachable' } };
    if (json?.upstreams) showUpstreams(json); // as the check has left them
    renderStatus();
    state.stream = await probeStream();
  }
  state.busy = false;
  state.at = performance.now();
  if (!state.failure) state.wellAt = state.at;
  renderStatus();
}

const worse = ['one', 'bursts', 'once', 'broken'];

// probeStream has the relay stream for half a second, which needs no key, and
// once more if that looks bad: networks stall. What comes while the browser itself
// stands still does not count.
async function probeStream() {
  let best = null;
  for (let i = 0; i < 4; i++) {
    const seen = await probeOnce();
    if (!best || worse.indexOf(seen.how) < worse.indexOf(best.how)) best = seen;
    if (best.how === 'one' || (i > 0 && !seen.stalled)) return best;
  }
  return best.how === 'broken' ? best : { how: 'unknown' };
}

async function probeOnce() {
  const arrivals = [];
  let whole = false;
  let sent = 0;
  const watch = watchStalls();
  try {
    const res = await request('relay/health?stream=1', { signal: AbortSignal.timeout(10_000) });
    for await (const event of events(res)) {
      if (event.data === '[DONE]') whole = true;
      else {
        arrivals.push(event);
        sent = parse(event.data)?.at_ms ?? sent;
      }
    }
  } catch { /* broken off, which whole tells */ }
  return { how: whole ? howTheyCame(arrivals, { sent }) : 'broken', n: arrivals.length, ms: spreadOf(arrivals), stalled: watch() > 60 };
}

// watchStalls returns a function that ends the watch and tells for how long, in
// ms, this page stood still meanwhile.
function watchStalls() {
  const every = 20;
  let last = performance.now();
  let longest = 0;
  const look = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last - every);
    last = now;
  };
  const timer = setInterval(look, every);
  return () => {
    clearInterval(timer);
    look();
    return longest;
  };
}

// verdict returns how the relay is: a kind, and a sentence.
function verdict() {
  const { failure, deep, stream } = state;
  if (failure) return ['bad', 'v_unreachable'];
  if (!deep || !stream) return ['', 'checking'];
  if (!deep.ok) return ['bad', 'v_api'];
  return { broken: ['bad', 'v_broken'], bursts: ['warn', 'v_buffered'], once: ['warn', 'v_buffered'] }[stream.how] ?? ['good', 'v_well'];
}

export function renderStatus() {
  const { failure, deep, stream, busy } = state;
  const health = relay.health ?? {};
  const name = typeof health.name === 'string' && health.name !== 'relay' ? health.name : '';
  $('name').textContent = name;
  document.title = joined([name, 'relay']);
  const [kind, sentence] = verdict();
  const sub = { v_well: 'sub', v_buffered: 'sub_buffered' }[sentence];
  $('banner').className = kind;
  const says = el('div', null, el('span', { class: 'sign', 'aria-hidden': 'true' }, signs[kind]),
    el('div', null, el('h2', { id: 'status-title' }, t(sentence)), sub && el('p', null, t(sub)),
      failure && failureText(failure), !failure && deep && !deep.ok && reason(deep)));
  // Screen readers read it again whenever it is replaced.
  if (says.textContent !== $('verdict').textContent) $('verdict').replaceChildren(says);
  $('recheck').disabled = busy;
  $('recheck').textContent = t(busy ? 'checking' : 'check_again');
  $('status').classList.toggle('old', Boolean(failure));
  const wait = relay.health || !failure ? '…' : '—';
  big('api', deep?.ok ? duration(deep.latency_ms) : deep ? t('no_way') : wait, deep?.ok ? t('reachable') : '', deep && (deep.ok ? 'good' : 'bad'));
  const how = { one: 'good', broken: 'bad', unknown: '' }[stream?.how] ?? 'warn';
  big('streaming', stream ? t('stream_' + stream.how) : wait,
    stream?.ms ? t('stream_events', { n: stream.n, ms: duration(stream.ms) }) : '', stream && how);
  const value = (text) => (relay.health ? text || '—' : wait);
  const [token, limits] = tokenFacts();
  $('facts').replaceChildren(...facts([
    [t('region'), value(health.region)],
    [t('platform'), value(health.platform)],
    [t('version'), value(health.version)],
    [t('key'), value(t(health.holds_key ? 'key_held' : 'key_yours'))],
    [t('access'), value(token ?? t(health.token_required ? 'needed' : 'no'))],
    [t('token_limits'), limits],
    [t('body_limit'), value(health.max_body_bytes && megabytes(health.max_body_bytes))],
    ['WebSocket', value(t(health.websocket ? 'yes' : 'no'))],
  ]));
  renderAge();
}

function big(id, value, detail, kind) {
  $(id).replaceChildren(el('b', { class: kind || null }, value), ' ', el('small', null, detail));
}

// renderAge says how old what is shown is: that of a relay which does not respond
// any more is as old as its last response.
function renderAge() {
  const at = state.failure ? state.wellAt : state.at;
  const age = at ? ago(performance.now() - at) : '';
  $('age').textContent = !age ? '' : t(state.failure ? 'as_of' : 'checked', { age });
}

function reason({ status, code, failure }) {
  if (failure) return failureText(failure);
  return callout('bad', upstreamWords[code] && t(upstreamWords[code], { status }), ' ', code && el('code', null, String(code)));
}

function renderQR() {
  const grid = qr(base);
  $('qr-box').hidden = !grid;
  if (!grid) return;
  const d = grid.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  $('qr').replaceChildren(svg('svg', { viewBox: `-4 -4 ${grid.length + 8} ${grid.length + 8}`, role: 'img', 'aria-label': `${t('qr')}: ${base}` },
    svg('path', { d, 'shape-rendering': 'crispEdges' })));
}
