// What is left on a key, as far as anybody says so.

import { el } from './dom.mjs';
import { t } from './i18n.mjs';
import { ask, failureText } from './relay.mjs';
import { day, isoDay, joined, kindOf, money } from './text.mjs';

const website = 'https://platform.openai.com/settings/organization/billing/overview';

const daysFromNow = (days) => isoDay(Date.now() / 1000 + days * 86400);

const refusals = new Map(); // by kind of key and endpoint: the failure to come, or null

// forgetRefusals is called when the relay may let other calls pass than before.
export const forgetRefusals = () => refusals.clear();

// askOnce calls an endpoint of the old dashboard, but not again for a kind of keys
// that it does not respond to.
async function askOnce(path, key, signal) {
  const id = `${kindOf(key)} ${path.split('?')[0]}`;
  const failure = await refusals.get(id);
  if (failure) return { failure };
  const response = ask('dashboard/billing/' + path, { key, signal });
  if (!refusals.has(id)) {
    refusals.set(id, response.then(({ failure, status }) => ([403, 404, 405, 410].includes(status) ? failure : null)));
  }
  return response;
}

// balanceOf asks the three endpoints of the old dashboard. OpenAI responds to
// session keys, other APIs of its shape to any.
export async function balanceOf(key, signal) {
  const paths = ['credit_grants', 'subscription', `usage?start_date=${daysFromNow(-30)}&end_date=${daysFromNow(1)}`];
  const [grants, plan, usage] = await Promise.all(paths.map((path) => askOnce(path, key, signal)));
  const said = (response, field) => (!response.failure && Number.isFinite(response.json[field]) ? response.json[field] : null);
  const cents = said(usage, 'total_usage');
  const balance = {
    left: said(grants, 'total_available'), granted: said(grants, 'total_granted'), used: said(grants, 'total_used'),
    limit: said(plan, 'hard_limit_usd'), until: said(plan, 'access_until'), plan: plan.failure ? null : plan.json.plan?.title,
    used30: cents == null ? null : cents / 100, unlimited: false,
    failure: grants.failure ?? plan.failure ?? usage.failure ?? null,
  };
  if (!(balance.until > 86400)) balance.until = null; // 0 and -1: without an end
  return balance.limit != null && balance.plan == null ? prepaid(balance) : balance;
}

// prepaid reads a balance as one-api and new-api mean it: there is no plan, the
// limit is all that was granted, and the usage is all that was used of it. Tokens
// without a limit have one of a hundred millions.
function prepaid(balance) {
  const { limit, used30: used, left } = balance;
  const unlimited = limit >= 1e8;
  return {
    ...balance, limit: null, used30: null, unlimited, failure: null,
    ...(left == null && { granted: unlimited ? null : limit, used, left: unlimited || used == null ? null : limit - used }),
  };
}

// balanceText returns what was said as elements, and why the rest was not.
export function balanceText({ left, granted, used, limit, until, plan, used30, unlimited, failure }) {
  const said = joined([
    left != null && t('credit_left', { left: money(left) }),
    granted != null && t('credit_granted', { granted: money(granted) }),
    unlimited && t('unlimited'),
    used != null && t('used', { used: money(used) }),
    used30 != null && t('used_30', { used: money(used30) }),
    limit != null && t('limit_month', { limit: money(limit) }),
    plan && t('plan', { plan }),
    until != null && t('expires', { day: day(until) }),
  ]);
  return said || [el('p', null, t('no_balance'), ' ', el('a', { href: website, target: '_blank', rel: 'noopener noreferrer' }, t('link_billing'))),
    failure && failureText(failure, '')];
}
