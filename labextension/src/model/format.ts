/** Numbers as people read them. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `1536` is `1.5 KiB`. */
export function bytes(count: number): string {
  let unit = 0;
  while (count >= 1024 && unit < UNITS.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit === 0 || count >= 100 ? Math.round(count) : count.toFixed(1)} ${UNITS[unit]}`;
}

/** Percent of one CPU; an en dash where nobody knows. */
export function percent(value: number | null): string {
  return value === null ? '–' : `${Math.round(value)} %`;
}

/** The time of day, with the date if that is another. */
export function time(seconds: number): string {
  const when = new Date(seconds * 1000);
  const today = when.toDateString() === new Date().toDateString();
  return today ? when.toLocaleTimeString() : when.toLocaleString();
}

/** The part of a whole in percent, between 0 and 100; null if the whole is not known. */
export function share(done: number, total: number | null): number | null {
  return total === null || total <= 0 ? null : Math.min(100, Math.round((100 * done) / total));
}
