/**
 * MySQL's protocol, for a proxy before a real server.
 *
 * - https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html
 */
import type { Frames, Protocol } from "./tcp_proxy.ts";

const [CLIENT_DEPRECATE_EOF, SERVER_MORE_RESULTS_EXISTS] = [1 << 24, 8];
const [OK, EOF, ERROR] = [0x00, 0xfe, 0xff];
/** Commands by their first byte; all but queries end or test a connection. */
const [QUIT, QUERY] = [0x01, 0x03];
/** Bytes before a packet's payload: its length and its number. */
const HEADER = 4;

/** Statements that only look, or change nothing but their own session. */
const LOOKS = /^\s*(SELECT|SHOW|SET|USE|LOCK|UNLOCK|START|PREPARE)\b/;

export const MYSQL: Protocol = {
  request(bytes) {
    const packet = packetAt(bytes, 0);
    if (packet === undefined) return undefined;
    const { length } = packet;
    if (packet[HEADER] !== QUERY) return { length, isChange: false, isLast: packet[HEADER] === QUIT };
    const text = new TextDecoder().decode(packet.subarray(HEADER + 1));
    return { length, what: text.replace(/\s+/g, " ").slice(0, 60), isChange: !LOOKS.test(text) };
  },
  answer: (bytes, { what }) => what === undefined ? packetAt(bytes, 0)?.length : resultLength(bytes),
  greet,
};

/** Returns the packet at an offset, with its header; `undefined` if it is not whole. */
function packetAt(bytes: Uint8Array, at: number): Uint8Array | undefined {
  if (bytes.length < at + HEADER) return undefined;
  const end = at + HEADER + (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16);
  return bytes.length < end ? undefined : bytes.subarray(at, end);
}

/** Lets the two get to know each other; without a shorter form of answers, which is not read here. */
async function greet(client: Frames, server: Frames): Promise<void> {
  const next = async (side: Frames) => {
    const frame = await side.next((bytes) => packetAt(bytes, 0));
    if (frame === undefined) throw new Error("one side left");
    return frame.bytes;
  };
  const greeting = await next(server);
  const upper = greeting.indexOf(0, 5) + 4 + 8 + 1 + 2 + 1 + 2 + 1; // https://.../page_protocol_connection_phase_packets_protocol_handshake_v10.html
  greeting[upper + 1]! &= ~(CLIENT_DEPRECATE_EOF >>> 24);
  await client.write(greeting);
  for (;;) {
    await server.write(await next(client));
    const answer = await next(server);
    await client.write(answer);
    if (answer[HEADER] === OK || answer[HEADER] === ERROR) return;
  }
}

/** Returns the length of a query's answer, with the results of later statements; `undefined` if it is not whole. */
function resultLength(bytes: Uint8Array): number | undefined {
  let at = 0;
  const next = () => {
    const packet = packetAt(bytes, at);
    at += packet?.length ?? 0;
    return packet;
  };
  const isEnd = (packet: Uint8Array) => packet[HEADER] === EOF && packet.length < HEADER + 9;
  for (;;) {
    const first = next();
    if (first === undefined) return undefined;
    if (first[HEADER] === ERROR) return at;
    let status: number;
    if (first[HEADER] === OK) {
      let field = HEADER + 1;
      for (const _ of ["affected rows", "last insert id"]) field += sizeOfInteger(first[field]!);
      status = first[field]!;
    } else {
      let packet = next();
      while (packet !== undefined && !isEnd(packet)) packet = next(); // columns
      if (packet !== undefined) packet = next();
      while (packet !== undefined && !isEnd(packet) && packet[HEADER] !== ERROR) packet = next(); // rows
      if (packet === undefined) return undefined;
      if (packet[HEADER] === ERROR) return at;
      status = packet[HEADER + 3]!;
    }
    if ((status & SERVER_MORE_RESULTS_EXISTS) === 0) return at;
  }
}

/** https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html#sect_protocol_basic_dt_int_le */
function sizeOfInteger(first: number): number {
  if (first < 0xfb) return 1;
  if (first === 0xfc) return 3;
  return first === 0xfd ? 4 : 9;
}
