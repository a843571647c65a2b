// The candidates: which pass the filters, and in which order.

/** Reasons in words. @type {Record<string, string>} */
export const KINDS = { label: 'likely wrong label', duplicate: 'near-duplicate under another label',
  outlier: 'unlike every class', blurred: 'blurred', dark: 'very dark', bright: 'very bright', tiny: 'tiny' };

/** What each filter looks at. @type {Record<FilterName, (item: Item) => string[]>} */
const VALUES = { label: o => [o.label], split: o => [o.split], kind: o => o.reasons.map(r => r.kind) };

/** Values of the filters with how many candidates have each. Drop-downs hold positions in these lists, so
 * that any text may be the name of a class.
 * @type {(data: CleanerData) => Cleaner['choices']} */
export function choices({ items, classes }) {
  /** @type {(field: FilterName, order?: string[]) => [string, number][]} */
  const list = (field, order) => {
    const all = Map.groupBy(items.flatMap(item => [...new Set(VALUES[field](item))]), v => v);
    return (order ?? [...all.keys()].sort()).filter(v => all.has(v)).map(v => [v, all.get(v)?.length ?? 0]);
  };
  return { label: list('label', classes), split: list('split'), kind: list('kind', Object.keys(KINDS)) };
}

/** The candidates that pass the filters: worst first, by the reason where one is chosen.
 * @type {(items: Item[], f: Filters, marks: Map<number, Mark>) => Item[]} */
export function filtered(items, f, marks) {
  /** @type {(item: Item) => number} */
  const score = item => Math.max(...item.reasons.filter(r => r.kind === f.kind).map(r => r.score));
  const fields = /** @type {FilterName[]} */ (Object.keys(VALUES));
  const list = items.filter(o => fields.every(k => f[k] === null || VALUES[k](o).includes(f[k]))
    && (f.show === 'all' || marks.has(o.id) === (f.show === 'decided')));
  return f.kind === null ? list : list.sort((a, b) => score(b) - score(a)); // the sort is stable
}

/** Make the list anew. @type {(cl: Cleaner) => void} */
export function makeList(cl) {
  cl.list = filtered(cl.data.items, cl.f, cl.marks);
  cl.at = new Map(cl.list.map((o, i) => [o.id, i]));
}

/** Where a candidate stands in the list, -1 where it doesn't.
 * @type {(cl: Cleaner, item: Item | null) => number} */
export const placeOf = (cl, item) => (item ? cl.at.get(item.id) ?? -1 : -1);

/** The next candidate without a decision after position i, from the front again at the end; null where all
 * are decided.
 * @type {(cl: Cleaner, i: number) => Item | null} */
export function nextUndecided({ list, marks }, i) {
  const round = list.map((_, k) => list[(i + 1 + k + list.length) % list.length]);
  return round.find(item => !marks.has(item.id)) ?? null;
}

/** Classes that hold the typed text, those that begin with it first; the suggestion in front.
 * @type {(classes: string[], item: Item, text: string) => string[]} */
export function matches(classes, item, text) {
  /** @type {(s: string) => string} */
  const plain = s => s.normalize('NFKD').replace(/[\u0300-\u036f]/g, '').toLowerCase();
  const typed = plain(text.trim());
  /** @type {(c: string) => number} */
  const rank = c => (c === typed ? 0 : c.startsWith(typed) ? 1 : c.includes(typed) ? 2 : 3);
  const ranked = classes.map(c => ({ c, rank: rank(plain(c)), other: c === item.suggestion ? 0 : 1 }));
  return ranked.filter(({ c, rank }) => rank < 3 && c !== item.label)
    .sort((a, b) => a.rank - b.rank || a.other - b.other).map(o => o.c);
}

export const ACTIONS = ['relabel', 'keep', 'aside', 'delete'];

/** How many photos of each class were relabelled, kept, set aside and deleted.
 * @type {(items: Item[], marks: Map<number, Mark>) => [label: string, counts: number[]][]} */
export function tally(items, marks) {
  const by = Map.groupBy(items.filter(({ id }) => marks.has(id)), o => o.label);
  return [...by].map(([label, some]) =>
    [label, ACTIONS.map(action => some.filter(({ id }) => marks.get(id)?.action === action).length)]);
}
