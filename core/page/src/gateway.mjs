// The upstreams of a gateway, live.

import { $, el, svg } from './dom.mjs';
import { onLanguage, t } from './i18n.mjs';
import { ask } from './relay.mjs';
import { duration, number } from './text.mjs';

const every = 2000; // ms
const remembered = 30; // latencies of each upstream: a minute

let upstreams = null; // none were told
let stale = false;
let timer = 0;
const latencies = new Map(); // by name

const signs = { up: ['good', '● '], suspect: ['warn', '◐ '], down: ['bad', '○ '] };

export function startGateway() {
  onLanguage(renderUpstreams);
  document.addEventListener('visibilitychange', schedule);
}

// showUpstreams takes in what health told, and asks again while there are
// upstreams and somebody looks.
export function showUpstreams(health) {
  const list = health.upstreams?.length > 0 ? health.upstreams : null;
  announce(list);
  upstreams = list;
  stale = false;
  for (const { name, latency_ms } of list ?? []) {
    latencies.set(name, [...(latencies.get(name) ?? []), latency_ms || NaN].slice(-remembered));
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
  if (json?.upstreams?.length > 0) return showUpstreams(json);
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

const stateWord = (state) => (state in signs ? t(state) : state);

function renderUpstreams() {
  $('gateway').hidden = !upstreams;
  if (!upstreams) return;
  $('gateway-hint').textContent = t(stale ? 'gateway_stale' : 'gateway_live');
  $('upstreams').replaceChildren(...upstreams.map(row));
}

function row({ name, state, latency_ms, in_flight, last_error, retry_in_ms }) {
  const [kind, sign] = signs[state] ?? ['warn', '? '];
  return el('tr', null,
    el('th', { scope: 'row' }, name, last_error && el('small', null, el('code', null, last_error))),
    el('td', null, el('span', { class: kind }, sign + stateWord(state)),
      retry_in_ms != null && el('small', { class: 'hint' }, t('retry_in', { ms: duration(retry_in_ms) }))),
    el('td', null, latency_ms ? duration(latency_ms) : '—', spark(latencies.get(name) ?? [])),
    el('td', null, in_flight == null ? '—' : number(in_flight)));
}

// spark draws the last latencies, the newest at the right.
function spark(values) {
  const most = Math.max(1, ...values.filter((value) => value >= 0));
  let pen = 'M';
  const line = values.map((value, i) => {
    if (!(value >= 0)) {
      pen = 'M';
      return '';
    }
    const point = `${pen}${remembered - values.length + i} ${19 - (value / most) * 18}`;
    pen = 'L';
    return point;
  });
  return svg('svg', { class: 'spark', viewBox: `0 0 ${remembered - 1} 20`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('path', { d: line.join('') }));
}
