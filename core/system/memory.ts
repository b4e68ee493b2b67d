/**
 * Values that are made once.
 *
 * @module
 */

/** Gives the value of a key: from the first call that asks for it by `make`, to all that ask later or meanwhile. */
export type Once = <T>(key: string, make: () => T | Promise<T>) => Promise<T>;

/** A memory of its own. A value whose making failed is made anew by the next call. */
export function memory(): Once {
  const values = new Map<string, Promise<unknown>>();
  return <T>(key: string, make: () => T | Promise<T>): Promise<T> => {
    const known = values.get(key);
    if (known !== undefined) return known as Promise<T>;
    const value = (async () => await make())();
    values.set(key, value);
    value.catch(() => values.delete(key));
    return value;
  };
}
