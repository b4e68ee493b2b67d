/**
 * Conditions of reads, writes and deletions.
 *
 * - https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
 *
 * @module
 */
import type { Condition } from "./bucket.ts";
import { S3Error } from "./error.ts";
import type { Meta } from "./files.ts";
import { instantOfHeader } from "./signature.ts";

/** Checks the conditions of a read: throws if one excludes it; returns true if the reader has this version already. */
export function isUnmodified(headers: Headers, meta: Meta, prefix = ""): boolean {
  const [match, noneMatch] = ["if-match", "if-none-match"].map((name) => headers.get(prefix + name));
  const [since, notSince] = ["if-modified-since", "if-unmodified-since"].map((name) =>
    instantOfHeader(headers.get(prefix + name) ?? "")
  );
  const modifiedAt = wholeSecond(meta.modifiedAt);
  if (match !== null ? !isNamed(match, meta) : notSince !== undefined && modifiedAt > notSince) {
    throw preconditionFailed(match !== null ? "If-Match" : "If-Unmodified-Since");
  }
  return noneMatch !== null ? isNamed(noneMatch, meta) : since !== undefined && modifiedAt <= since;
}

/** Returns a function that checks the conditions of a write, by what the key holds. */
export function writeCondition(headers: Headers): Condition {
  const [match, noneMatch] = ["if-match", "if-none-match"].map((name) => headers.get(name));
  return (current) => {
    if (noneMatch !== null && current !== undefined && isNamed(noneMatch, current.meta)) {
      throw preconditionFailed("If-None-Match");
    }
    if (match === null) return;
    if (current === undefined) throw new S3Error("NoSuchKey", "The specified key does not exist.");
    if (!isNamed(match, current.meta)) throw preconditionFailed("If-Match");
  };
}

/** The conditions of a deletion. */
export interface ExpectedObject {
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
  readonly size?: string | undefined;
}

/** Returns a function that checks the conditions of a deletion, if it has any; no object breaks none. */
export function deleteCondition({ etag, lastModified, size }: ExpectedObject): Condition | undefined {
  if (etag === undefined && lastModified === undefined && size === undefined) return undefined;
  const modifiedAt = lastModified === undefined ? undefined : instantOfHeader(lastModified);
  if (lastModified !== undefined && modifiedAt === undefined) throw unreadable("LastModifiedTime", lastModified);
  if (size !== undefined && !/^\d{1,15}$/.test(size)) throw unreadable("Size", size);
  return (current) => {
    if (current === undefined) return;
    const { meta, sizeBytes } = current;
    if (etag !== undefined && !isNamed(etag, meta)) throw preconditionFailed("If-Match");
    if (modifiedAt !== undefined && wholeSecond(modifiedAt) !== wholeSecond(meta.modifiedAt)) {
      throw preconditionFailed("x-amz-if-match-last-modified-time");
    }
    if (size !== undefined && Number(size) !== sizeBytes) throw preconditionFailed("x-amz-if-match-size");
  };
}

function unreadable(name: string, value: string): S3Error {
  return new S3Error("InvalidArgument", `The condition ${name} cannot be read`, { ArgumentValue: value });
}

/** The error for a condition that does not hold. */
export function preconditionFailed(condition: string): S3Error {
  return new S3Error("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", {
    Condition: condition,
  });
}

/** Returns the time of a whole second: a header says no more. */
function wholeSecond(at: number): number {
  return Math.floor(at / 1000) * 1000;
}

function isNamed(header: string, { etag }: Meta): boolean {
  return header.split(",").map((one) => one.trim().replace(/^W\//, "").replace(/^"|"$/g, ""))
    .some((one) => one === "*" || one === etag);
}
