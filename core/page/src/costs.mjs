// Costs and usage of an organization, which OpenAI tells to its admin keys.

import { button, el, save, svg, table } from './dom.mjs';
import { t } from './i18n.mjs';
import { ask, base, failureText } from './relay.mjs';
import { csv, day, isoDay, mask, money, number } from './text.mjs';

const periods = [7, 30, 90]; // days
const maxPages = 8;

// buckets returns the daily buckets of the last days and of today.
async function buckets(path, days, { key, signal, query = '', limit = 31 }) {
  const start = (Math.floor(Date.now() / 86400e3) - days) * 86400;
  const list = [];
  let cursor = '';
  for (let pages = 0; pages < maxPages; pages++) {
    const { failure, json } = await ask(
      `v1/organization/${path}?start_time=${start}&bucket_width=1d&limit=${Math.min(limit, days + 1)}${query}${cursor}`, { key, signal });
    if (failure || !Array.isArray(json.data)) return { failure: failure ?? { word: 'no_list' } };
    list.push(...json.data);
    if (!json.has_more || !json.next_page) return { list };
    cursor = '&page=' + encodeURIComponent(json.next_page);
  }
  return { list, cut: true };
}

// costsOf asks for the costs by day, line item and project.
export async function costsOf(key, days = 30, signal) {
  const got = await buckets('costs', days, { key, signal, limit: 180, query: '&group_by=line_item&group_by=project_id' });
  if (got.failure) return { failure: got.failure };
  const rows = got.list.flatMap(({ start_time, results }) => (results ?? []).map(({ amount, line_item, project_id }) => ({
    start: start_time, value: Number(amount?.value ?? NaN), currency: amount?.currency ?? 'usd',
    model: line_item?.split(', ')[0] ?? '', item: line_item ?? '', project: project_id ?? '',
  }))).filter(({ value }) => Number.isFinite(value));
  return { days, rows, cut: got.cut, starts: got.list.map(({ start_time }) => start_time), names: await projectNames(key, rows, signal) };
}

async function projectNames(key, rows, signal) {
  if (!rows.some(({ project }) => project)) return {};
  const { failure, json } = await ask('v1/organization/projects?limit=100&include_archived=true', { key, signal });
  return failure || !Array.isArray(json.data) ? {} : Object.fromEntries(json.data.map(({ id, name }) => [id, name]));
}

// sums adds up the values of rows by what of returns, the largest first.
function sums(rows, of) {
  const all = new Map();
  for (const row of rows) all.set(of(row), (all.get(of(row)) ?? 0) + row.value);
  return [...all].sort(([, a], [, b]) => b - a);
}

// totals returns the sum of each currency.
export const totals = ({ rows }) => sums(rows, ({ currency }) => currency);

// costsPanel shows the costs that were got with a key. The period may be changed
// there, so the panel may ask for more.
export function costsPanel(key, costs) {
  const panel = el('div', { class: 'costs' });
  const show = (shown) => {
    const select = el('select', { 'aria-label': t('costs'), onchange: async () => {
      select.disabled = true;
      const next = await costsOf(key, Number(select.value));
      show(next.failure ? { ...shown, failure: next.failure } : next);
      panel.querySelector('select').focus();
    } }, periods.map((n) => el('option', { value: n }, t('days', { n }))));
    select.value = shown.days;
    const currencies = totals(shown);
    panel.replaceChildren(
      el('div', { class: 'row' }, select, button(t('export'), () => save('costs.csv', costsFile(key, shown)))),
      shown.failure ? failureText(shown.failure) : '',
      ...(currencies.length ? currencies.map(([currency, sum]) => currencyPanel(shown, currency, sum)) : [el('p', null, t('costs_none'))]),
      shown.cut ? el('p', { class: 'warn' }, t('cut_short')) : '',
      usagePanel(key, shown.days));
  };
  show(costs);
  return panel;
}

function currencyPanel({ rows: all, starts, names }, currency, sum) {
  const rows = all.filter((row) => row.currency === currency);
  const byDay = new Map(sums(rows, ({ start }) => start));
  const max = money(Math.max(...byDay.values()), currency);
  const [first, last] = [day(starts[0]), day(starts.at(-1))];
  const caption = t('max_day', { max });
  const readout = el('span', null, caption);
  const amount = (start) => (byDay.has(start) ? money(byDay.get(start), currency) : '—');
  // A day of which nothing is said has no figure, rather than a zero.
  const show = (i) => (readout.textContent = starts[i] === undefined ? caption : `${day(starts[i])}: ${amount(starts[i])}`);
  const group = (name, of) => el('details', null, el('summary', null, t(name)), scroll(t(name),
    table([t(name), t('costs')], sums(rows, of).map(([what, value]) => [what || t('unnamed'), money(value, currency)]), [1])));
  return el('div', null,
    el('p', { class: 'sum' }, el('b', null, money(sum, currency))),
    el('figure', null,
      el('figcaption', null, readout),
      chart(starts.map((start) => byDay.get(start) ?? 0), show,
        t('costs_chart', { first, last, sum: money(sum, currency), max })),
      el('figcaption', null, el('span', null, first), el('span', null, last))),
    group('model', ({ model }) => model), group('project', ({ project }) => names[project] ?? project),
    el('details', null, el('summary', null, t('day')), scroll(t('day'),
      table([t('day'), t('costs')], starts.map((start) => [day(start), amount(start)]), [1]))));
}

const scroll = (label, content) => el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': label }, content);

// chart draws bars with their values to hover over; show is called with the
// number of a bar.
function chart(values, show, label) {
  const max = Math.max(...values) || 1;
  const n = values.length;
  return svg('svg', {
    class: 'chart', viewBox: `0 0 ${n} 100`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label,
    onpointermove: ({ currentTarget, clientX }) => {
      const { left, width } = currentTarget.getBoundingClientRect();
      show(Math.floor(((clientX - left) / width) * n));
    },
    onpointerleave: () => show(-1),
  }, values.map((value, i) => svg('rect', { x: i + 0.1, width: 0.8, y: 100 - (value / max) * 100, height: Math.max(0, (value / max) * 100) })));
}

// usagePanel asks for the usage by model when it is opened.
function usagePanel(key, days) {
  const body = el('div');
  return el('details', { ontoggle: async () => {
    if (body.firstChild) return;
    body.replaceChildren('…');
    const { failure, list, cut } = await buckets('usage/completions', days, { key, query: '&group_by=model' });
    const rows = (list ?? []).flatMap(({ results }) => results ?? []);
    const sum = (field) => new Map(sums(rows.map((row) => ({ ...row, value: row[field] ?? 0 })), ({ model }) => model ?? ''));
    const fields = ['num_model_requests', 'input_tokens', 'output_tokens'].map(sum);
    body.replaceChildren(failure ? failureText(failure) : table([t('model'), t('calls'), t('tokens_in'), t('tokens_out')],
      [...fields[1].keys()].map((model) => [model || t('unnamed'), ...fields.map((field) => number(field.get(model)))]), [1, 2, 3]),
    cut ? t('cut_short') : '');
  } }, el('summary', null, t('usage')), body);
}

// costsFile returns the costs by day as a file for spreadsheets.
function costsFile(key, { rows, names }) {
  const now = new Date().toISOString();
  return csv([['checked_at', 'base_url', 'key', 'day', 'model', 'line_item', 'project_id', 'project', 'amount', 'currency'],
    ...rows.map(({ start, value, currency, model, item, project }) =>
      [now, base, mask(key), isoDay(start), model, item, project, names[project], value, currency])]);
}
