/**
 * The checksums that S3 knows: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
 *
 * @module
 */
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { S3Error } from "./error.ts";

/** The checksum of an object. */
export interface Checksum {
  readonly algorithm: string;
  /** Its value in base64, as S3 writes it. */
  readonly value: string;
  /** Its input: all bytes, or the checksums of the parts. */
  readonly type: "FULL_OBJECT" | "COMPOSITE";
}

/** A running checksum. */
export interface Digest {
  update(bytes: Uint8Array): unknown;
  /** Returns the checksum in base64, as S3 writes it. */
  digest(encoding: "base64"): string;
}

/** Constructors of checksums, by name as in headers and in XML. */
export const CHECKSUMS: Readonly<Record<string, () => Digest>> = {
  CRC32: () => crc((bytes, value) => crc32(bytes, value)),
  CRC32C: () => crc(crc32c),
  CRC64NVME: crc64,
  SHA1: () => createHash("sha1"),
  SHA256: () => createHash("sha256"),
};

/** Algorithms whose checksum of an object in parts is of one type alone. */
const ONE_TYPE: Readonly<Record<string, Checksum["type"]>> = {
  CRC64NVME: "FULL_OBJECT",
  SHA1: "COMPOSITE",
  SHA256: "COMPOSITE",
};

/** Returns the checksum that a new object is to have; `undefined` if none is asked for. */
export function wantedChecksum(headers: Headers): Pick<Checksum, "algorithm" | "type"> | undefined {
  const algorithm = headers.get("x-amz-checksum-algorithm")?.toUpperCase();
  if (algorithm !== undefined && !Object.hasOwn(CHECKSUMS, algorithm)) {
    throw new S3Error("InvalidRequest", "Checksum algorithm is not supported");
  }
  const asked = typeOf(headers, algorithm);
  if (algorithm !== undefined) return { algorithm, type: asked ?? ONE_TYPE[algorithm] ?? "COMPOSITE" };
  if (asked === undefined) return undefined;
  throw new S3Error("InvalidRequest", "The x-amz-checksum-type header needs x-amz-checksum-algorithm");
}

/** A checksum as the last request of an upload in parts states it; `value` may end in the number of parts. */
export type StatedChecksum = Pick<Checksum, "algorithm" | "value"> & { readonly type: Checksum["type"] | undefined };

/** Returns the object's checksum that a request states in a header; `undefined` if it states none. */
export function statedChecksum(headers: Headers): StatedChecksum | undefined {
  const [algorithm, more] = Object.keys(CHECKSUMS).filter((name) => headers.has(checksumHeader(name)));
  if (more !== undefined) throw new S3Error("InvalidRequest", "Expecting a single x-amz-checksum- header");
  const type = typeOf(headers, algorithm);
  return algorithm === undefined ? undefined : { algorithm, value: headers.get(checksumHeader(algorithm))!, type };
}

function typeOf(headers: Headers, algorithm: string | undefined): Checksum["type"] | undefined {
  const type = headers.get("x-amz-checksum-type")?.toUpperCase();
  if (type === undefined) return undefined;
  if (type !== "FULL_OBJECT" && type !== "COMPOSITE") throw new S3Error("InvalidRequest", "Unknown checksum type");
  if (algorithm === undefined || (ONE_TYPE[algorithm] ?? type) === type) return type;
  throw new S3Error("InvalidRequest", `The ${type} checksum type cannot be used with the ${algorithm} algorithm.`);
}

/** Returns the header of a checksum, e.g. `x-amz-checksum-crc32`. */
export function checksumHeader(algorithm: string): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

function crc(step: (bytes: Uint8Array, value: number) => number): Digest {
  let value = 0;
  return {
    update: (bytes) => value = step(bytes, value),
    digest(encoding) {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value >>> 0);
      return bytes.toString(encoding);
    },
  };
}

/** Castagnoli's polynomial, bits reversed: https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4 */
const CRC32C_TABLE = Uint32Array.from({ length: 256 }, (_, at) => {
  let value = at;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

function crc32c(bytes: Uint8Array, before: number): number {
  let value = ~before;
  for (let at = 0; at < bytes.length; at++) value = CRC32C_TABLE[(value ^ bytes[at]) & 0xff] ^ (value >>> 8);
  return ~value;
}

/** The polynomial of CRC-64/NVME, bits reversed, in two halves: NVM Express NVM Command Set Specification, 5.2.1.3.4. */
const [CRC64_HIGH, CRC64_LOW] = (() => {
  const [highs, lows] = [new Uint32Array(256), new Uint32Array(256)];
  for (let at = 0; at < 256; at++) {
    let [high, low] = [0, at];
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = low & 1;
      low = (low >>> 1) | (high << 31);
      high = high >>> 1;
      if (isOdd) [high, low] = [high ^ 0x9a6c9329, low ^ 0xac4bc9b5];
    }
    highs[at] = high;
    lows[at] = low;
  }
  return [highs, lows];
})();

function crc64(): Digest {
  let [high, low] = [~0, ~0];
  return {
    update(bytes) {
      for (let at = 0; at < bytes.length; at++) {
        const index = (low ^ bytes[at]) & 0xff;
        low = ((low >>> 8) | (high << 24)) ^ CRC64_LOW[index];
        high = (high >>> 8) ^ CRC64_HIGH[index];
      }
    },
    digest(encoding) {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt32BE(~high >>> 0, 0);
      bytes.writeUInt32BE(~low >>> 0, 4);
      return bytes.toString(encoding);
    },
  };
}
