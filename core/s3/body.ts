/**
 * The body of a request: decoded from its chunks, and checked against every hash and checksum that came with it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { type Checksum, checksumHeader, CHECKSUMS, type Digest } from "./checksums.ts";
import { S3Error } from "./error.ts";
import { md5Of } from "./md5.ts";
import { type ChunkSigner, isSame, type Payload } from "./signature.ts";

/** A body, and the values that are known after it was read to its end. */
export interface Body {
  /** The bytes, piece by piece. A mismatch throws at the end; nothing may be kept before that. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** The number of bytes, if the sender announced it. */
  readonly expectedBytes: number | undefined;
  /** The algorithm of its checksum, if it has one. */
  readonly algorithm: string | undefined;
  /** Returns the MD5 in hexadecimal. */
  md5(): string;
  /** Returns the checksum that came with the body, or was asked for. */
  checksum(): Checksum | undefined;
}

/** Reads a request's body as its headers describe it; `wanted` is the checksum to compute if none came along. */
export function requestBody(
  headers: Headers,
  stream: AsyncIterable<Uint8Array> | null,
  payload: Payload,
  wanted?: string,
): Body {
  const trailers = new Map<string, string>();
  const expectedBytes = lengthOf(headers, payload);
  const algorithm = algorithmOf(headers) ?? wanted;
  const digest = algorithm === undefined ? undefined : CHECKSUMS[algorithm]();
  let digests: { md5: string; checksum?: Checksum } | undefined;

  async function* read(): AsyncGenerator<Uint8Array> {
    const source = received(stream ?? []);
    const plain = payload.type === "plain" ? source : dechunk(source, payload, trailerOf(headers), trailers);
    const sha256 = payload.type === "plain" && payload.sha256 !== undefined ? createHash("sha256") : undefined;
    using md5 = md5Of(expectedBytes);
    let size = 0;
    for await (const bytes of plain) {
      size += bytes.length;
      if (size > (expectedBytes ?? Infinity)) throw incomplete(); // before more of it is on the disk
      digest?.update(bytes);
      sha256?.update(bytes);
      yield bytes;
      await md5.take(bytes);
    }
    if (expectedBytes !== undefined && size !== expectedBytes) throw incomplete();
    if (payload.type === "plain" && sha256 !== undefined && !isSame(payload.sha256!, sha256.digest("hex"))) {
      throw new S3Error(
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' does not match what was computed",
      );
    }
    digests = settle(await md5.digest(), { digest, algorithm }, headers, trailers);
  }
  const settled = () => {
    if (digests === undefined) throw new TypeError("The body was not read to its end");
    return digests;
  };
  return { bytes: read(), expectedBytes, algorithm, md5: () => settled().md5, checksum: () => settled().checksum };
}

function incomplete(): S3Error {
  return new S3Error("IncompleteBody", "You did not provide the number of bytes specified by the length header");
}

/** Yields the incoming bytes; a sender that disconnects causes no error of this server. */
async function* received(stream: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const input = Symbol.asyncIterator in stream ? stream[Symbol.asyncIterator]() : stream[Symbol.iterator]();
  let isOver = false;
  try {
    for (;;) {
      const next = await Promise.resolve(input.next()).catch((error) => {
        isOver = true;
        throw error instanceof S3Error
          ? error
          : new S3Error("IncompleteBody", "The connection ended before the body did");
      });
      isOver = next.done === true;
      if (next.done) return;
      yield next.value;
    }
  } finally {
    if (!isOver) await drain(input);
  }
}

const MAX_DRAINED_BYTES = 32 * 2 ** 20;

/** Reads and drops an unwanted body: most clients see no answer before they have sent all of it. */
export async function drain(input: Iterator<Uint8Array> | AsyncIterator<Uint8Array>): Promise<void> {
  try {
    for (let size = 0; size < MAX_DRAINED_BYTES;) {
      const { done, value } = await input.next();
      if (done) return;
      size += value.length;
    }
    await input.return?.();
  } catch {
    // the sender went away
  }
}

function settle(
  md5: string,
  { digest, algorithm }: { readonly digest: Digest | undefined; readonly algorithm: string | undefined },
  headers: Headers,
  trailers: ReadonlyMap<string, string>,
): { md5: string; checksum?: Checksum } {
  const wantedMd5 = headers.get("content-md5");
  if (wantedMd5 !== null) {
    if (!/^[A-Za-z0-9+/]{21}[AQgw]==$/.test(wantedMd5)) {
      throw new S3Error("InvalidDigest", "The Content-MD5 you specified is not valid.");
    }
    if (Buffer.from(wantedMd5, "base64").toString("hex") !== md5) {
      throw new S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.");
    }
  }
  if (digest === undefined || algorithm === undefined) return { md5 };
  const value = digest.digest("base64");
  const name = checksumHeader(algorithm);
  const wanted = headers.get(name) ?? trailers.get(name);
  if (wanted !== undefined && wanted !== value) {
    throw new S3Error("BadDigest", `The ${algorithm} you specified did not match the calculated checksum.`);
  }
  if (wanted === undefined && headers.get("x-amz-trailer") !== null) {
    throw new S3Error("IncompleteBody", `The trailer ${name} was announced and did not come`);
  }
  return { md5, checksum: { algorithm, value, type: "FULL_OBJECT" } };
}

/** Returns the announced length of the object itself, in bytes. */
function lengthOf(headers: Headers, payload: Payload): number | undefined {
  const text = headers.get(payload.type === "chunked" ? "x-amz-decoded-content-length" : "content-length");
  if (text === null && payload.type === "plain") return undefined;
  if (text === null || !/^\d{1,15}$/.test(text)) {
    throw new S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.");
  }
  return Number(text);
}

/** Returns the name of the header that follows the body. */
function trailerOf(headers: Headers): string | undefined {
  return headers.get("x-amz-trailer")?.trim().toLowerCase();
}

/** Returns the algorithm of the request's checksum, in a header or after its body. */
function algorithmOf(headers: Headers): string | undefined {
  const trailer = trailerOf(headers);
  const named = Object.keys(CHECKSUMS).filter((name) =>
    headers.has(checksumHeader(name)) || trailer === checksumHeader(name)
  );
  if (named.length > 1) throw new S3Error("InvalidRequest", "Expecting a single x-amz-checksum- header");
  if (named.length === 1) return named[0];
  if (trailer !== undefined) {
    throw new S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported");
  }
  return undefined;
}

/** Decodes `aws-chunked`: each chunk with its length, and its signature if chunks are signed; then trailing headers. */
async function* dechunk(
  stream: AsyncIterable<Uint8Array>,
  payload: Payload & { type: "chunked" },
  announced: string | undefined,
  trailers: Map<string, string>,
): AsyncGenerator<Uint8Array> {
  const input = new Input(stream);
  const { signer } = payload;
  for (;;) {
    const [, size, extension] = /^([0-9a-f]{1,12})(?:;(.*))?$/i.exec(await input.line()) ?? [];
    if (size === undefined || (extension !== undefined && signer === undefined)) throw malformed();
    const left = parseInt(size, 16);
    const hash = signer === undefined ? undefined : createHash("sha256");
    for await (const bytes of input.take(left)) {
      hash?.update(bytes);
      yield bytes;
    }
    if (signer !== undefined) {
      const [, signature] = /^chunk-signature=([0-9a-f]{64})$/.exec(extension ?? "") ?? [];
      checkChunk(signer.chunk(hash!.digest("hex")), signature);
    }
    if (left === 0) break;
    if (await input.line() !== "") throw malformed();
  }
  if (payload.hasTrailer) await readTrailers(input, signer, announced, trailers);
  await input.end(!payload.hasTrailer); // else the connection could not be used again
}

function malformed(): S3Error {
  return new S3Error("InvalidRequest", "The chunked body is malformed");
}

const TRAILER_SIGNATURE = "x-amz-trailer-signature";

/** Reads the announced header after the last chunk, and its signature if chunks are signed. */
async function readTrailers(
  input: Input,
  signer: ChunkSigner | undefined,
  announced: string | undefined,
  trailers: Map<string, string>,
): Promise<void> {
  let signed = "";
  for (let line = await input.line(); line !== ""; line = await input.line()) {
    const [, name, value] = /^([a-z0-9-]+):[ \t]*([\x21-\x7e]*)[ \t]*$/i.exec(line) ?? [];
    const known = name?.toLowerCase();
    const isWanted = known === announced || (known === TRAILER_SIGNATURE && signer !== undefined);
    if (known === undefined || !isWanted || trailers.has(known)) throw malformed();
    trailers.set(known, value);
    if (known !== TRAILER_SIGNATURE) signed += `${known}:${value}\n`;
  }
  if (signer !== undefined) checkChunk(signer.trailer(signed), trailers.get(TRAILER_SIGNATURE));
}

function checkChunk(expected: string, given: string | undefined): void {
  if (given !== undefined && isSame(expected, given)) return;
  throw new S3Error("SignatureDoesNotMatch", "The signature of a chunk does not match what was computed");
}

const MAX_LINE_BYTES = 4096;

/** Reads lines and numbers of bytes from a stream. */
class Input {
  readonly #stream: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#stream = stream[Symbol.asyncIterator]();
  }

  async #more(): Promise<Uint8Array> {
    const { done, value } = await this.#stream.next();
    if (done) throw new S3Error("IncompleteBody", "The body ended before its last chunk");
    return value;
  }

  /** Reads a line up to the next CRLF, and returns it without that. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf(10);
      if (end >= 0) {
        const line = new TextDecoder().decode(this.#rest.subarray(0, end));
        this.#rest = this.#rest.subarray(end + 1);
        if (!line.endsWith("\r") || end > MAX_LINE_BYTES) throw malformed();
        return line.slice(0, -1);
      }
      if (this.#rest.length > MAX_LINE_BYTES) throw malformed();
      this.#rest = Buffer.concat([this.#rest, await this.#more()]);
    }
  }

  /** Reads to the end; throws if there is more than, with `mayHaveLine`, an empty last line. */
  async end(mayHaveLine: boolean): Promise<void> {
    let rest = Buffer.from(this.#rest);
    for (; rest.length <= 2;) {
      const { done, value } = await this.#stream.next();
      if (done) break;
      rest = Buffer.concat([rest, value]);
    }
    if (rest.length > 0 && !(mayHaveLine && rest.toString("latin1") === "\r\n")) {
      throw new S3Error("InvalidRequest", "There is more in the body than its chunks");
    }
  }

  /** Yields a number of bytes as they arrive. */
  async *take(count: number): AsyncGenerator<Uint8Array> {
    for (let left = count; left > 0;) {
      if (this.#rest.length === 0) this.#rest = await this.#more();
      const bytes = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(bytes.length);
      left -= bytes.length;
      yield bytes;
    }
  }
}
