/**
 * The checksum of an object from those of its parts, without reading a byte of it.
 *
 * - Types: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
 * - CRCs: multiplication of polynomials over GF(2), as in zlib's `crc32_combine`.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type Checksum, CHECKSUMS } from "./checksums.ts";

/** A part's checksum in base64, and its size. */
export interface PartChecksum {
  readonly value: string;
  readonly sizeBytes: number;
}

/** Returns the checksum of an object of these parts, whose checksums are of the same algorithm. */
export function joinedChecksum(
  { algorithm, type }: Pick<Checksum, "algorithm" | "type">,
  parts: readonly PartChecksum[],
): Checksum {
  if (type === "FULL_OBJECT") return { algorithm, type, value: joinedCrc(algorithm, parts) };
  const digest = CHECKSUMS[algorithm]!();
  for (const { value } of parts) digest.update(Buffer.from(value, "base64"));
  return { algorithm, type, value: `${digest.digest("base64")}-${parts.length}` };
}

/** Polynomials with their bits reversed, and how many bits they have. */
const POLYNOMIALS: Readonly<Record<string, { readonly bits: bigint; readonly polynomial: bigint }>> = {
  CRC32: { bits: 32n, polynomial: 0xedb88320n },
  CRC32C: { bits: 32n, polynomial: 0x82f63b78n },
  CRC64NVME: { bits: 64n, polynomial: 0x9a6c9329ac4bc9b5n },
};

function joinedCrc(algorithm: string, parts: readonly PartChecksum[]): string {
  const { bits, polynomial } = POLYNOMIALS[algorithm]!;
  const one = 1n << (bits - 1n);
  const times = (a: bigint, b: bigint) => {
    let product = 0n;
    for (let bit = one; bit > 0n; bit >>= 1n) {
      if (a & bit) product ^= b;
      b = b & 1n ? (b >> 1n) ^ polynomial : b >> 1n;
    }
    return product;
  };
  /** Returns x to the power of 8 for each byte. */
  const shift = (bytes: number) => {
    let [power, square] = [one, one >> 8n];
    for (let left = BigInt(bytes); left > 0n; left >>= 1n) {
      if (left & 1n) power = times(power, square);
      square = times(square, square);
    }
    return power;
  };
  const shifts = new Map<number, bigint>(); // all parts but the last are mostly of one size
  let crc = 0n;
  for (const { value, sizeBytes } of parts) {
    if (!shifts.has(sizeBytes)) shifts.set(sizeBytes, shift(sizeBytes));
    crc = times(shifts.get(sizeBytes)!, crc) ^ BigInt(`0x${Buffer.from(value, "base64").toString("hex")}`);
  }
  return Buffer.from(crc.toString(16).padStart(Number(bits) / 4, "0"), "hex").toString("base64");
}
