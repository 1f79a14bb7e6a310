// What this relay is, whether it reaches the API, and whether streams stream.

import { $, copy, el, facts } from './dom.mjs';
import { events, howTheyCame, spreadOf } from './events.mjs';
import { showUpstreams } from './gateway.mjs';
import { onLanguage, t } from './i18n.mjs';
import { ask, base, failureText, parse, relay, request } from './relay.mjs';
import { duration, megabytes } from './text.mjs';

const state = { failure: null, deep: null, stream: null, busy: false };

const upstreamWords = {
  unsupported_country_region_territory: 'up_region', upstream_connect: 'up_connect', upstream_reset: 'up_reset',
  upstream_timeout: 'up_timeout', upstream_unexpected_status: 'up_status',
};

// startStatus shows the relay's state. known is called when health has answered,
// now and whenever it is asked again.
export function startStatus(known) {
  $('base').value = base;
  $('copy-base').addEventListener('click', async ({ target }) => {
    await copy(base);
    target.textContent = t('copied');
    setTimeout(() => (target.textContent = t('copy')), 2000);
  });
  $('base').addEventListener('focus', ({ target }) => target.select());
  $('recheck').addEventListener('click', () => checkStatus(known));
  onLanguage(renderStatus);
  checkStatus(known);
}

export async function checkStatus(known) {
  if (state.busy) return;
  Object.assign(state, { busy: true, deep: null, stream: null });
  renderStatus();
  // One after the other: on a function platform, three at a time are three starts.
  const shallow = await ask('relay/health');
  state.failure = shallow.json?.name ? null : shallow.failure ?? { word: 'unreachable' };
  if (!state.failure) {
    relay.health = shallow.json;
    showUpstreams(shallow.json);
  }
  known();
  if (!state.failure) {
    renderStatus();
    const deep = await ask('relay/health?deep=1'); // a 503 has its reason in it
    state.deep = deep.json?.upstream ?? { ok: false, failure: deep.failure };
    renderStatus();
    state.stream = await probeStream();
  }
  state.busy = false;
  renderStatus();
}

// probeStream has the relay stream for half a second, which needs no key.
async function probeStream() {
  const arrivals = [];
  let whole = false;
  let sent = 0;
  try {
    const res = await request('relay/health?stream=1');
    for await (const event of events(res)) {
      if (event.data === '[DONE]') whole = true;
      else {
        arrivals.push(event);
        sent = parse(event.data)?.at_ms ?? sent;
      }
    }
  } catch { /* broken off, which whole tells */ }
  return { how: whole ? howTheyCame(arrivals, { sent }) : 'broken', n: arrivals.length, ms: spreadOf(arrivals) };
}

function renderStatus() {
  const { failure, deep, stream, busy } = state;
  const health = relay.health ?? {};
  const well = deep?.ok && stream?.how === 'one';
  $('name').textContent = health.name && health.name !== 'relay' ? health.name : '';
  document.title = health.name ? (health.name === 'relay' ? 'relay' : `${health.name} · relay`) : 'relay';
  $('recheck').disabled = busy;
  $('verdict').className = busy ? '' : well ? 'good' : 'bad';
  $('verdict').replaceChildren(busy ? t('checking') : failure ? failureText(failure) : (well ? '✓ ' : '✗ ') + t(well ? 'all_well' : 'not_well'));
  const wait = '…';
  const known = (value) => (relay.health ? value || '—' : wait);
  $('facts').replaceChildren(...facts([
    [t('api_reach'), deep ? upstreamText(deep) : failure ? '—' : wait],
    [t('streaming'), stream ? streamText(stream) : failure ? '—' : wait],
    [t('region'), known(health.region)],
    [t('platform'), known(health.platform)],
    [t('version'), known(health.version)],
    [t('token_fact'), known(t(health.token_required ? 'needed' : 'not_needed'))],
    [t('key_fact'), known(t(health.holds_key ? 'key_held' : 'key_yours'))],
    [t('body_limit'), known(health.max_body_bytes && megabytes(health.max_body_bytes))],
    [t('websocket'), known(t(health.websocket ? 'yes' : 'no'))],
  ]).flat());
}

function upstreamText({ ok, status, code, latency_ms, failure }) {
  if (ok) return el('span', { class: 'good' }, '✓ ' + t('reachable', { ms: duration(latency_ms) }));
  if (failure) return failureText(failure);
  return el('span', { class: 'bad' }, '✗ ', upstreamWords[code] && t(upstreamWords[code], { status }), ' ', el('code', null, code));
}

function streamText({ how, n, ms }) {
  const good = how === 'one';
  const word = { one: 'stream_one', once: 'stream_once' }[how] ?? 'stream_broken';
  return el('span', { class: good ? 'good' : 'bad' }, (good ? '✓ ' : '✗ ') + t(word, { n, ms: duration(ms) }));
}
