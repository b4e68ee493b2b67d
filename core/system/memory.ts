/**
 * Values that are made once.
 *
 * @module
 */

/**
 * Returns the value of a key: the first call makes it by `make`, all others get the same one, even while it is being
 * made.
 */
export type Once = <T>(key: string, make: () => T | Promise<T>) => Promise<T>;

/** Creates a memory. After a failure, the next call makes the value again. */
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
