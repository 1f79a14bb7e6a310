// Making elements. Text is always text: nothing here reads markup.

export const $ = (id) => document.getElementById(id);

// el returns an element with attributes and children. An attribute that begins
// with "on" is a listener; children that are null, false or '' are left out.
export function el(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function fill(e, attributes, children) {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith('on')) e.addEventListener(key.slice(2), value);
    else e.setAttribute(key, value);
  }
  e.append(...children.flat(Infinity).filter((child) => child != null && child !== false && child !== ''));
  return e;
}

// facts returns the pairs of a description list, without those that are empty.
export function facts(pairs) {
  return pairs.filter(([, value]) => value).map(([name, value]) => [el('dt', null, name), el('dd', null, value)]);
}

// table returns a table whose rows begin with a heading. Columns of numbers are
// named.
export function table(headings, rows, numbers = []) {
  const cell = (kind, scope) => (content, i) => el(kind, { ...scope, ...(numbers.includes(i) && { class: 'num' }) }, content);
  return el('table', null,
    el('thead', null, el('tr', null, headings.map(cell('th', { scope: 'col' })))),
    el('tbody', null, rows.map(([first, ...rest]) =>
      el('tr', null, el('th', { scope: 'row' }, first), rest.map((content, i) => cell('td')(content, i + 1))))));
}

// copy puts text on the clipboard, also where the address is plain http.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el('textarea', { class: 'unseen' });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
}
