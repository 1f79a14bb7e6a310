// The upstreams of a gateway, live.

import { $, el, svg } from './dom.mjs';
import { onLanguage, t } from './i18n.mjs';
import { ask } from './relay.mjs';
import { ago, duration, number } from './text.mjs';

const every = 2000; // ms
const remembered = 30; // looks at each upstream: a minute

let upstreams = null; // none were told
let seenAt = 0;
let stale = false;
let lost = () => {};
let timer = 0;
const history = new Map(); // by name

const signs = { up: ['good', '● '], suspect: ['warn', '◐ '], down: ['bad', '○ '] };

// startGateway calls whenLost when the gateway does not respond any more.
export function startGateway(whenLost) {
  lost = whenLost;
  onLanguage(renderUpstreams);
  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    if (upstreams && !document.hidden) refresh();
  });
}

// showUpstreams takes in what health told, and asks again while there are
// upstreams and somebody looks.
export function showUpstreams(health) {
  const list = Array.isArray(health.upstreams) && health.upstreams.length > 1 ? health.upstreams : null;
  announce(list);
  upstreams = list;
  seenAt = performance.now();
  stale = false;
  for (const { name, latency_ms, state } of list ?? []) {
    history.set(name, [...(history.get(name) ?? []), { ms: latency_ms || NaN, failed: state !== 'up' }].slice(-remembered));
  }
  renderUpstreams();
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (upstreams && !document.hidden) timer = setTimeout(refresh, every);
}

async function refresh() {
  const { json } = await ask('relay/health');
  if (json?.upstreams?.length > 1) return showUpstreams(json);
  if (!stale) lost();
  stale = true;
  renderUpstreams();
  schedule();
}

// announce tells a screen reader of upstreams whose state has changed.
function announce(list) {
  const before = new Map(upstreams?.map(({ name, state }) => [name, state]));
  const changed = (list ?? []).filter(({ name, state }) => before.has(name) && before.get(name) !== state);
  if (changed.length > 0) {
    $('gateway-news').textContent = changed.map(({ name, state }) => t('news', { name, state: stateWord(state) })).join('. ');
  }
}

const stateWord = (state) => (state in signs ? t(state) : String(state));

function renderUpstreams() {
  $('gateway').hidden = !upstreams;
  if (!upstreams) return;
  const up = upstreams.filter(({ state }) => state === 'up').length;
  $('gateway-sum').textContent = stale ? '' : t('n_up', { up, all: upstreams.length });
  $('gateway-sum').className = up === 0 ? 'bad' : up < upstreams.length ? 'warn' : 'good';
  $('gateway-hint').textContent = stale ? `${t('v_unreachable')} · ${t('as_of', { age: ago(performance.now() - seenAt) })}` : t('gateway_live');
  $('gateway').classList.toggle('old', stale);
  $('upstreams').replaceChildren(...upstreams.map(row));
}

function row({ name, state, latency_ms, in_flight, last_error, retry_in_ms, checked_ms_ago, error_ms_ago }) {
  const [kind, sign] = signs[state] ?? ['warn', '? '];
  const since = performance.now() - seenAt;
  // A failure that is over is told with its age, and not beside the state.
  const error = last_error && el('small', { class: state === 'up' ? 'hint' : kind },
    state === 'up' ? t('last_failure') + ' ' : '', el('code', null, String(last_error)),
    error_ms_ago != null && ', ' + ago(error_ms_ago + since));
  const checked = retry_in_ms ? t('retry_in', { ms: duration(retry_in_ms) })
    : checked_ms_ago != null ? t('checked', { age: ago(checked_ms_ago + since) }) : t('unchecked');
  return el('tr', null,
    el('th', { scope: 'row' }, name, error || el('small', null, '\u00a0')),
    el('td', null, el('span', { class: kind }, sign + stateWord(state)), el('small', { class: 'hint' }, checked)),
    el('td', { class: 'num' }, latency_ms ? duration(latency_ms) : '—'),
    el('td', { class: 'spark' }, spark(history.get(name) ?? [])),
    el('td', { class: 'num' }, in_flight == null ? '—' : number(in_flight)));
}

// spark draws the last minute, the newest at the right: latencies as a line, and
// looks at an upstream that was not up as dots.
function spark(looks) {
  const max = Math.max(1, ...looks.map(({ ms }) => ms).filter((ms) => ms >= 0));
  let line = '';
  let dots = '';
  let pen = 'M';
  looks.forEach(({ ms, failed }, i) => {
    const x = remembered - looks.length + i;
    if (failed) dots += `M${x} 20h0`;
    if (!(ms >= 0) || failed) {
      pen = 'M';
      return;
    }
    line += `${pen}${x} ${19 - (ms / max) * 16}`;
    pen = 'L';
  });
  return svg('svg', { viewBox: `-1 0 ${remembered + 1} 24`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('path', { d: line }), svg('path', { class: 'dots', d: dots }));
}
