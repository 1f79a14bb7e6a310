// Event streams, and how they came.

// events reads the events of a response. Of each it tells the data, when it came,
// and in which piece of the response.
export async function* events(res) {
  const reader = res.body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (let piece = 1; ; piece++) {
      const { done, value } = await reader.read();
      if (done) return; // an event without its blank line is none
      const at = performance.now();
      rest += decoder.decode(value, { stream: true });
      const parts = rest.split(/\r?\n\r?\n/);
      rest = parts.pop();
      for (const part of parts) {
        const data = part.split(/\r?\n/).filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trimStart());
        if (data.length > 0) yield { data: data.join('\n'), at, piece };
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // then the relay cancels it upstream
  }
}

// howTheyCame tells from when events came whether they came one by one, in
// bursts, all at once, or whether they are too few to tell. sent is the time in
// which they are known to have been sent, or 0; waited, the time before them.
export function howTheyCame(arrivals, { sent = 0, waited = 0 } = {}) {
  const spread = spreadOf(arrivals);
  const pieces = piecesOf(arrivals);
  if (arrivals.length < 4) return 'few';
  if (sent > 0) {
    // What holds a stream back holds it to its end. A stall at its beginning, which
    // any network has, leaves the rest in pieces.
    return pieces === 1 || spread < sent / 4 ? 'once' : pieces > 2 ? 'one' : 'bursts';
  }
  if (pieces === 1 || spread < 20 && spread * 10 < waited) return 'once';
  return pieces * 2 > arrivals.length ? 'one' : 'bursts';
}

export const spreadOf = (arrivals) => (arrivals.length ? arrivals.at(-1).at - arrivals[0].at : 0);

export const piecesOf = (arrivals) => new Set(arrivals.map(({ piece }) => piece)).size;
