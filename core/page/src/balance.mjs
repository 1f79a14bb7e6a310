// What is left on a key, as far as anybody says so.

import { el } from './dom.mjs';
import { t } from './i18n.mjs';
import { ask, failureText } from './relay.mjs';
import { day, money } from './text.mjs';

const isoDay = (days) => new Date(Date.now() + days * 86400e3).toISOString().slice(0, 10);

// balanceOf asks the three endpoints of the old dashboard. OpenAI answers them
// to session keys, other APIs of its shape to any.
export async function balanceOf(key) {
  const paths = ['credit_grants', 'subscription', `usage?start_date=${isoDay(-30)}&end_date=${isoDay(1)}`];
  const [grants, plan, usage] = await Promise.all(paths.map((path) => ask('dashboard/billing/' + path, { key })));
  const said = (answer, field) => (!answer.failure && Number.isFinite(answer.json[field]) ? answer.json[field] : null);
  const cents = said(usage, 'total_usage');
  return {
    left: said(grants, 'total_available'), granted: said(grants, 'total_granted'), used: said(grants, 'total_used'),
    limit: said(plan, 'hard_limit_usd'), until: said(plan, 'access_until'), plan: plan.failure ? null : plan.json.plan?.title,
    used30: cents == null ? null : cents / 100,
    failure: grants.failure ?? plan.failure ?? usage.failure ?? null,
  };
}

// balanceText returns what was said as elements, and why the rest was not.
export function balanceText({ left, granted, used, limit, until, plan, used30, failure }) {
  const lines = [
    left != null && (granted != null && used != null
      ? t('credit', { left: money(left), granted: money(granted), used: money(used) }) : t('credit_left', { left: money(left) })),
    used30 != null && t('used_30', { used: money(used30) }),
    limit != null && t('limit_month', { limit: money(limit) }),
    plan && t('plan', { plan }),
    until != null && t('expires', { day: day(until) }),
  ].filter(Boolean).map((line) => el('p', null, line));
  if (lines.length === 0) lines.push(el('p', null, t('no_balance'), ' ', el('a', { href: '#why', onclick: openWhy }, t('why'))));
  if (failure) lines.push(failureText(failure));
  return lines;
}

// openWhy does without the address, in which the language may stand.
function openWhy(event) {
  event.preventDefault();
  const why = document.getElementById('why');
  why.open = true;
  why.querySelector('summary').focus();
}
