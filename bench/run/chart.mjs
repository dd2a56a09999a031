import { summarise } from './summary.mjs';

const WIDTH = 900;
const LABEL_WIDTH = 360;
const BAR_WIDTH = 400;
const ROW_HEIGHT = 26;
const COLOURS = { ratchet: '#1f6f5c', peer: '#8a8f98', limit: '#d6d9de' };

/**
 * Bars per operation on a linear scale from zero, with the lowest and highest repetition; legible in light and dark.
 */
export function drawChart(results) {
  const rows = summarise(results.throughput.measurements);
  const parts = [];
  let top = 20;
  for (const kind of ['verify', 'refresh', 'login']) {
    const own = rows.filter(({ operation }) => operation.startsWith(kind)).filter(belongs);
    if (own.length > 0) {
      parts.push(`<text x="20" y="${top + 16}" class="head">${kind}, per second</text>`);
      parts.push(...drawBars(own, top + 32));
      top += 32 + own.length * ROW_HEIGHT + 20;
    }
  }
  const { machine } = results;
  const note = `${machine.cores} × ${machine.cpu}, Node ${machine.node}, 32 connections, the load generator on the same cores`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top + 24}" font-family="system-ui, sans-serif">`,
    '<style>text{font-size:13px;fill:#24292f}.head{font-weight:600;font-size:15px}.note{font-size:11px;fill:#57606a}</style>',
    `<rect width="${WIDTH}" height="${top + 24}" fill="#ffffff"/>`,
    ...parts,
    `<text x="20" y="${top + 8}" class="note">${escape(note)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

/** The set-based statement alone is many times beyond everything else and would make the other bars unreadable. */
const belongs = ({ target }) => !target.startsWith('limit-rotation-set') && target !== 'limit-node-http';

function drawBars(rows, top) {
  const sorted = [...rows].sort((a, b) => b.rate.median - a.rate.median);
  const scale = BAR_WIDTH / Math.max(...sorted.map(({ rate }) => rate.high));
  return sorted.flatMap((row, index) => {
    const y = top + index * ROW_HEIGHT;
    const { median, low, high } = row.rate;
    const label = ['verify', 'refresh', 'login'].includes(row.operation) ? row.title : `${row.title}: ${row.operation}`;
    const colour = row.isLimit ? COLOURS.limit : row.target === 'ratchet' ? COLOURS.ratchet : COLOURS.peer;
    const end = LABEL_WIDTH + median * scale;
    return [
      `<text x="${LABEL_WIDTH - 8}" y="${y + 14}" text-anchor="end">${escape(label)}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${rounded(median * scale)}" height="18" fill="${colour}"/>`,
      `<path d="M${rounded(LABEL_WIDTH + low * scale)} ${y + 9}H${rounded(LABEL_WIDTH + high * scale)}" stroke="#24292f"/>`,
      `<text x="${rounded(Math.max(end, LABEL_WIDTH + high * scale) + 6)}" y="${y + 14}">${format(median)}</text>`,
    ];
  });
}

const rounded = (value) => Math.round(value * 10) / 10;
const format = (value) => (value >= 100 ? Math.round(value).toLocaleString('en-GB') : value.toFixed(1));
const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
