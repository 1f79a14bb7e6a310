// Costs and usage of an organization, which OpenAI tells to its admin keys.

import { el, svg, table } from './dom.mjs';
import { t } from './i18n.mjs';
import { ask, failureText } from './relay.mjs';
import { day, money, number } from './text.mjs';

const usageKinds = [
  'completions', 'embeddings', 'images', 'audio_speeches', 'audio_transcriptions', 'moderations',
  'web_search_calls', 'file_search_calls', 'code_interpreter_sessions', 'vector_stores',
];

const units = [
  'num_model_requests', 'num_requests', 'num_sessions', 'input_tokens', 'output_tokens', 'images', 'characters', 'seconds', 'usage_bytes',
];

const mostPages = 6;

// buckets returns the daily buckets of the last 30 days and of today.
async function buckets(path, key) {
  const start = (Math.floor(Date.now() / 86400e3) - 30) * 86400;
  const list = [];
  let cursor = '';
  for (let pages = 0; pages < mostPages; pages++) {
    const answer = await ask(`v1/organization/${path}?start_time=${start}&bucket_width=1d&limit=31${cursor}`, { key });
    if (answer.failure || !Array.isArray(answer.json.data)) return { failure: answer.failure ?? { word: 'unreachable' }, status: answer.status };
    list.push(...answer.json.data);
    if (!answer.json.has_more || !answer.json.next_page) return { list };
    cursor = '&page=' + encodeURIComponent(answer.json.next_page);
  }
  return { list, cut: true };
}

// costsOf asks for the costs by day, and, if they are told, for the usage.
export async function costsOf(key) {
  const { failure, list, cut } = await buckets('costs', key);
  if (failure) return { failure };
  const days = list.map(({ start_time, results }) => {
    const amounts = {};
    for (const { amount } of results ?? []) {
      const value = Number(amount?.value ?? NaN);
      if (Number.isFinite(value)) amounts[amount.currency ?? 'usd'] = (amounts[amount.currency ?? 'usd'] ?? 0) + value;
    }
    return { start: start_time, amounts };
  });
  const usage = [];
  for (const kind of usageKinds) {
    const told = await buckets('usage/' + kind, key);
    usage.push({ kind, failure: told.failure, cut: told.cut, sums: sumsOf(told.list ?? []) });
  }
  return { days, cut, usage };
}

function sumsOf(list) {
  const sums = {};
  for (const result of list.flatMap(({ results }) => results ?? [])) {
    for (const unit of units) {
      if (!Number.isFinite(result[unit])) continue;
      // What is stored is the same bytes each day.
      sums[unit] = unit === 'usage_bytes' ? Math.max(sums[unit] ?? 0, result[unit]) : (sums[unit] ?? 0) + result[unit];
    }
  }
  return sums;
}

// totals returns the sum of each currency.
export function totals({ days }) {
  const sums = new Map();
  for (const { amounts } of days ?? []) {
    for (const [currency, value] of Object.entries(amounts)) sums.set(currency, (sums.get(currency) ?? 0) + value);
  }
  return sums;
}

export function costsText(costs) {
  const sums = totals(costs);
  return [
    sums.size === 0 && el('p', null, t('costs_none')),
    [...sums].map(([currency, sum]) => currencyText(costs.days, currency, money(sum, currency))),
    costs.cut && el('p', { class: 'warn' }, t('cut_short')),
    el('details', null, el('summary', null, t('usage')),
      table([t('endpoint'), t('amount')], costs.usage.map(({ kind, failure, cut, sums }) => [kind, [
        failure ? failureText(failure) : unitsText(sums), cut && ` (${t('cut_short')})`]]))),
  ];
}

const unitsText = (sums) => units.filter((unit) => sums[unit] > 0).map((unit) => t(unit, { n: number(sums[unit]) })).join(' · ') || t('none');

function currencyText(days, currency, sum) {
  const values = days.map(({ amounts }) => amounts[currency] ?? 0);
  const most = money(Math.max(...values), currency);
  const [first, last] = [day(days[0].start), day(days.at(-1).start)];
  return [
    el('p', null, t('costs_sum', { sum })),
    el('figure', null,
      el('figcaption', null, t('most', { most })),
      chart(days, values, t('costs_chart', { first, last, sum, most })),
      el('figcaption', null, el('span', null, first), el('span', null, last))),
    // A day of which nothing is said has no figure, rather than a zero.
    el('details', null, el('summary', null, t('by_day')), el('div', { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': t('by_day') },
      table([t('day'), t('costs')], days.map(({ start, amounts }) =>
        [day(start), amounts[currency] == null ? '—' : money(amounts[currency], currency)]), [1]))),
  ];
}

function chart(days, values, label) {
  const most = Math.max(...values) || 1;
  return svg('svg', { class: 'chart', viewBox: `0 0 ${days.length} 100`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    values.map((value, i) => svg('rect', { x: i + 0.1, width: 0.8, y: 100 - (value / most) * 100, height: Math.max(0, (value / most) * 100) })));
}
