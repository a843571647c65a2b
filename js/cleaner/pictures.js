// The photo shown large and the thumbnails: asked for once each, and some of them kept.
import { placeOf } from './list.js';
import { messageOf } from '../common/parts.js';

/** Ask for what is shown: the large photo, and the thumbnails of a page.
 * @type {(cl: Cleaner, item: Item | null, page: Item[]) => void} */
export function askFor(cl, item, page) {
  if (item) askForLarge(cl, item);
  askForThumbs(cl, page.map(o => o.id));
}

/** Keep a value, and no more than `most`.
 * @type {<V>(map: Map<number, V>, id: number, value: V, most: number) => void} */
function keep(map, id, value, most) {
  map.set(id, value);
  const [first] = map.keys();
  if (map.size > most) map.delete(first);
}

/** The photo as large as the host has it, the thumbnail until it comes; and the next one in advance.
 * @type {(cl: Cleaner, item: Item) => Promise<void>} */
async function askForLarge(cl, item) {
  const large = cl.large.get(item.id), small = cl.thumbs.get(item.id);
  /** @type {(of: Partial<Large>, note: string, done: boolean) => void} */
  const put = ({ image = null, note, typical }, none, done) => {
    cl.frame = { src: image, note: note || none, done, typical };
  };
  const before = { image: small?.thumb, typical: small?.typical };
  if (large) put(large, 'The photo is gone.', true);
  else put({ ...before, note: small?.note }, 'Loading …', false);
  try {
    const got = large || await askOnce(cl, item.id), next = cl.list[placeOf(cl, item) + 1];
    if (cl.gone || cl.item !== item) return;
    put(got, 'The photo is gone.', true);
    if (next && !cl.large.has(next.id)) askOnce(cl, next.id).catch(() => {});
  } catch (error) {
    if (cl.gone || cl.item !== item) return;
    put(before, `The photo can't be shown: ${messageOf(error)}`, true);
  }
  if (!large) cl.update();
}

/** @type {(cl: Cleaner, id: number) => Promise<Large>} */
function askOnce({ asked, host, large }, id) {
  const there = asked.get(id);
  if (there) return there;
  const ask = async () => {
    try {
      const got = await host.photo(id);
      keep(large, id, got, 40);
      return got;
    } finally { asked.delete(id); }
  };
  const asking = ask();
  asked.set(id, asking);
  return asking;
}

/** @type {(cl: Cleaner, ids: number[]) => Promise<void>} */
async function askForThumbs(cl, ids) {
  const need = ids.filter(id => !cl.thumbs.has(id) && !cl.wanted.has(id));
  if (!need.length) return;
  for (const id of need) cl.wanted.add(id);
  try {
    for (const photo of await cl.host.photos(need)) keep(cl.thumbs, photo.id, photo, 1000);
  } catch (error) { cl.error = `The thumbnails can't be shown: ${messageOf(error)}`; }
  for (const id of need) cl.wanted.delete(id);
  cl.update();
}
