// The table of results. A row has what we and the peer did and the value that
// is judged: their ratio, or ours alone where there is no peer.
const rows = [];

export const median = (list) => {
	const s = [...list].sort((a, b) => a - b);
	const m = s.length >> 1;
	return s.length % 2 === 1 ? s[m] : (s[m - 1] + s[m]) / 2;
};

// more: a larger value is better. note: why it does not count, or what else
// there is to say; a row without must and aim is only told.
export function row(what, { ours, peer, ratio, unit = '', must, aim, more,
    note, counts = true }) {
	const value = ratio ?? ours;
	const meets = (limit) => more ? value >= limit : value <= limit;
	let verdict = '';
	if (must !== undefined && !counts)
		verdict = 'not counted';
	else if (must !== undefined)
		verdict = !meets(must) ? 'MISSES the must' :
		    !meets(aim) ? 'ok, misses the aim' : 'ok';
	rows.push({ what, ours, peer, ratio, unit, must, aim, more, note,
	    verdict });
	console.log(`  ${line(rows.at(-1))}`);
}

export const missed = () => rows.filter((r) => /^MISSES/.test(r.verdict));

// Three digits, or four.
function number(n) {
	if (n === undefined)
		return '-';
	if (n >= 10_000)
		return `${(n / 1000).toFixed(1)}k`;
	if (Number.isInteger(n) || n >= 100)
		return n.toFixed(0);
	return n.toFixed(n >= 10 ? 1 : 2);
}

const limit = (n, r) => n === undefined ? '' :
    `${r.more ? '>=' : '<='} ${n}${r.ratio === undefined ? '' : 'x'}`;

const cells = (r) => [r.what + (r.unit && `, ${r.unit}`), number(r.ours),
    number(r.peer), r.ratio === undefined ? '-' : `${r.ratio.toFixed(2)}x`,
    limit(r.must, r), limit(r.aim, r),
    r.verdict + (r.note ? ` (${r.note})` : '')];

const line = (r) => cells(r).filter((c) => c !== '' && c !== '-').join('  ');

export function print() {
	const all = [['', 'mcpgwd', 'peer', 'ratio', 'must', 'aim', ''],
	    ...rows.map(cells)];
	const width = all[0].map((_, i) =>
	    Math.max(...all.map((r) => r[i].length)));
	console.log();
	for (const r of all)
		console.log(r.map((c, i) => i === 0 || i > 3 ?
		    c.padEnd(width[i]) : c.padStart(width[i])).join('  ')
		    .trimEnd());
}
