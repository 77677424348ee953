// SPDX-License-Identifier: Apache-2.0
// Runs an image for the RP2040 in rp2040js, and is the USB host at the other end of its cable.
//
//     node rp2040js.mjs RP2040JS IMAGE.UF2 MARK
//
// RP2040JS: the folder of the rp2040js package. MARK: address of eb_mark in the image, for counting; 0 for none.
// Messages go both ways over standard input and output: a letter, a u32 of how many bytes follow (little endian),
// and these. D: bytes over the USB serial port. U: bytes over UART0. E, to us alone: {"do": "touch"} closes the
// port at 1200 baud, {"do": "counts"} asks for cycles. E, from us alone: {"event": ...} as JSON.
//
// The host checks what rp2040js does not: that packets alternate DATA0 and DATA1 as USB 2.0 has it, that a buffer's
// AVAILABLE bit is set by a store of its own, that clocks are right, and that errata of the chip are worked round
// (rp2040js is a B0 or B1). What it finds wrong ends the emulation.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , folder, image, markText] = process.argv;
const { Simulator } = await import(pathToFileURL(path.join(folder, 'dist', 'esm', 'index.js')));

const FLASH = 0x10000000, FLASH_BYTES = 1 << 24, SRAM = 0x20000000;
const BOOT2_AT = 0x20041f00, BOOT2_BYTES = 256; // RP2040 Datasheet 2.8.1.3: where the ROM puts the second stage
const USB_BOOT = 0x200; // an address of ours in the ROM, for its function "UB"
const BATCH = 20000; // instructions between looks at standard input
const IDLE_LOOKS = 200; // so often the program looks for bytes in vain before it is taken to wait for them
const FRAME = 1e6; // nanoseconds
const mark = Number(markText) & ~1;

const simulator = new Simulator();
const mcu = simulator.rp2040;
const usb = mcu.usbCtrl;
const core = mcu.core;

function send(kind, bytes) {
    const head = Buffer.alloc(5);
    head.write(kind, 0, 'latin1');
    head.writeUInt32LE(bytes.length, 1);
    fs.writeSync(1, Buffer.concat([head, Buffer.from(bytes)]));
}

function say(event) {
    send('E', Buffer.from(JSON.stringify(event)));
}

function fail(why) {
    say({ event: 'error', why });
    process.exit(1);
}

const hex = (n) => '0x' + (n >>> 0).toString(16);

// Only wrong addresses are errors of the program; rp2040js says much else.
const complain = (name, text) => {
    if (/invalid memory|undefined address|not 32 bit aligned/.test(text)) {
        fail(`${text}, at instruction address ${hex(core.PC)}`);
    }
};
mcu.logger = { debug() {}, info() {}, warn: complain, error: complain };

// The image, as the boot ROM takes it: UF2 blocks into flash, the second stage into SRAM, and off.
const file = fs.readFileSync(image);
for (let at = 0; at < file.length; at += 512) {
    const address = file.readUInt32LE(at + 12), size = file.readUInt32LE(at + 16);
    if (file.readUInt32LE(at) !== 0x0a324655 || file.readUInt32LE(at + 4) !== 0x9e5d5157 || size > 476
        || address < FLASH || address + size > FLASH + FLASH_BYTES) {
        fail(`block ${at / 512} of the UF2 file is damaged`);
    }
    mcu.flash.set(file.subarray(at + 32, at + 32 + size), address - FLASH);
}
mcu.sram.fill(0xa5);
mcu.sram.set(mcu.flash.subarray(0, BOOT2_BYTES), BOOT2_AT - SRAM);
// RP2040 Datasheet 2.8.3: at 14h the address of a table of functions. Only the one that is asked for is there.
const rom = new DataView(mcu.bootrom.buffer);
rom.setUint16(0x14, 0x100, true);
['D', '4', 0x300, 'U', 'B', USB_BOOT | 1].forEach((v, i) => {
    const entry = 0x100 + 4 * Math.floor(i / 3);
    if (i % 3 === 2) rom.setUint16(entry + 2, v, true);
    else rom.setUint8(entry + (i % 3), v.charCodeAt(0));
});
core.registers[14] = 0;
core.SP = BOOT2_AT;
core.PC = BOOT2_AT;

// The cable. arrived: packets from the device by endpoint; wanted: packets the device is ready to take.
const arrived = new Map(), wanted = new Map(), toggles = new Map();
let lookedInVain = 0;

function toggle(endpoint, out, value) {
    const key = endpoint * 2 + (out ? 1 : 0), is = (value >>> 13) & 1, should = toggles.get(key) ?? 0;
    if (is !== should) {
        fail(`endpoint ${endpoint} ${out ? 'takes' : 'sends'} DATA${is} where the host has DATA${should}`);
    }
    toggles.set(key, should ^ 1);
}

const updated = usb.DPRAMUpdated.bind(usb);
let before = new Map();
usb.DPRAMUpdated = (offset, value) => {
    if (offset >= 0x80 && offset < 0x100) {
        if (value & (1 << 10)) {
            if (before.get(offset) !== (value & ~(1 << 10)) >>> 0) {
                fail(`buffer control ${hex(offset)} gets AVAILABLE together with other bits`);
            }
            toggle((offset - 0x80) >> 3, Boolean(offset & 4), value);
            // RP2040-E15: the last 200 us of a frame are dangerous
            if (offset === 0x80 + 8 * cdc.in && simulator.clock.nanos % FRAME > 800e3) {
                fail(`a packet becomes available ${simulator.clock.nanos % FRAME} ns after the start of a frame`);
            }
        }
        before.set(offset, value >>> 0);
    }
    updated(offset, value);
};
usb.onEndpointWrite = (endpoint, bytes) => {
    lookedInVain = 0;
    const data = Uint8Array.from(bytes);
    if (endpoint === cdc.in) send('D', data);
    else arrived.set(endpoint, [...(arrived.get(endpoint) ?? []), data]);
};
usb.onEndpointRead = (endpoint, size) => wanted.set(endpoint, size);

const readRegister = usb.readUint32.bind(usb);
usb.readUint32 = (offset) => {
    if (offset === 0x50) lookedInVain++; // SIE_STATUS
    if (offset === 0x48) return Math.floor(simulator.clock.nanos / FRAME) & 0x7ff; // SOF_RD
    return readRegister(offset);
};

// RP2040-E5: after a reset D+ must come from GPIO15, forced high, for 800 us.
let idleFrom = 0, idle = 0;
const writeRegister = usb.writeUint32.bind(usb);
usb.writeUint32 = (offset, value) => {
    if (offset === 0x74 && value & 4) { // USB_MUXING: TO_DIGITAL_PAD
        if (mcu.gpio[15].ctrl !== (8 | 2 << 12 | 3 << 16)) fail('GPIO15 does not stand in for D+');
        idleFrom = simulator.clock.nanos;
    } else if (offset === 0x74 && idleFrom) {
        idle = simulator.clock.nanos - idleFrom;
        idleFrom = 0;
    }
    writeRegister(offset, value);
};

const until = async (what, ready) => {
    const start = simulator.clock.nanos;
    for (;;) {
        const found = ready();
        if (found !== undefined) return found;
        if (simulator.clock.nanos - start > 2e9) fail(`the USB host waited 2 s in vain for ${what}`);
        await new Promise((go) => waiting.push(go));
    }
};
let waiting = [];

const packet = (what) => until(what, () => {
    if (usb.epStallArm & 1 && mcu.usbDPRAMView.getUint32(0x80, true) & (1 << 11)) return null;
    return arrived.get(0)?.shift();
});

function give(endpoint, bytes) {
    wanted.delete(endpoint);
    lookedInVain = 0;
    usb.endpointReadDone(endpoint, Uint8Array.from(bytes));
}

// A packet to endpoint 0, until the controller has it: no host goes on before.
async function giveControl(bytes) {
    const given = simulator.clock.nanos;
    give(0, bytes);
    await until('the end of a packet', () => (simulator.clock.nanos > given + 50e3 ? true : undefined));
}

// One control transfer (USB 2.0 section 8.5.3); the bytes of its reply, or null when the device stalls it.
async function control(type, request, value, index, length, data) {
    const what = `control request ${hex(type)} ${hex(request)} ${hex(value)}`;
    arrived.set(0, []);
    wanted.delete(0);
    usb.epStallArm = 0; // as a SETUP does
    mcu.usbDPRAMView.setUint32(0x80, 0, true);
    toggles.set(0, 1);
    toggles.set(1, 1);
    usb.sendSetupPacket(Uint8Array.from([type, request, value & 255, value >> 8, index & 255, index >> 8, length & 255, length >> 8]));
    const reply = [];
    if (type & 0x80) {
        for (;;) {
            const part = await packet(what);
            if (part === null) return null;
            reply.push(...part);
            if (part.length < 64 || reply.length >= length) break;
        }
        await until(`the status of ${what}`, () => wanted.get(0));
        await giveControl([]);
    } else {
        if (length) {
            await until(`room for the data of ${what}`, () => wanted.get(0));
            await giveControl(data);
        }
        const status = await packet(what);
        if (status === null) return null;
        if (status.length) fail(`${what} ends with ${status.length} bytes instead of none`);
    }
    return Uint8Array.from(reply);
}

const cdc = { in: -1, out: -1, ready: false };
const lineCoding = (baud) => [...new Uint8Array(Uint32Array.of(baud).buffer), 0, 0, 8];

// What an operating system asks of a serial port that is plugged in and opened.
async function enumerate() {
    await until('the pull-up of D+', () => (usb.sieCtrl & (1 << 16) ? true : undefined));
    if (mcu.pllUsb.frequency !== 48e6 || !(mcu.clocks.usbCtrl & (1 << 11)) || mcu.clkSys !== 125e6) {
        fail(`clk_usb has ${mcu.pllUsb.frequency} Hz, clk_sys ${mcu.clkSys}`);
    }
    const reset = new Promise((go) => { usb.onResetReceived = go; });
    usb.resetDevice();
    await reset;
    const first = await control(0x80, 6, 0x100, 0, 64);
    await control(0, 5, 7, 0, 0);
    await until('its address', () => ((usb.addrEndp & 0x7f) === 7 ? true : undefined));
    const device = await control(0x80, 6, 0x100, 0, 18);
    const qualifier = await control(0x80, 6, 0x600, 0, 10); // none: a full-speed device stalls this
    const short = await control(0x80, 6, 0x200, 0, 9);
    const all = await control(0x80, 6, 0x200, 0, short[2] | short[3] << 8);
    const strings = [];
    const language = await control(0x80, 6, 0x300, 0, 255);
    for (const n of [device[14], device[15]]) {
        const text = await control(0x80, 6, 0x300 | n, language[2] | language[3] << 8, 255);
        strings.push(Buffer.from(text.subarray(2)).toString('utf16le'));
    }
    for (let at = 0; at < all.length; at += all[at]) {
        if (all[at] === 0 || at + all[at] > all.length) fail('the configuration descriptor is damaged');
        if (all[at + 1] === 5 && (all[at + 3] & 3) === 2) cdc[all[at + 2] & 0x80 ? 'in' : 'out'] = all[at + 2] & 15;
    }
    [cdc.in, cdc.out].forEach((n) => { toggles.delete(2 * n); toggles.delete(2 * n + 1); });
    await control(0, 9, 1, 0, 0);
    const configuration = await control(0x80, 8, 0, 0, 1);
    await control(0x21, 0x20, 0, 0, 7, lineCoding(115200));
    const coding = await control(0xa1, 0x21, 0, 0, 7);
    await control(0x21, 0x22, 3, 0, 0);
    cdc.ready = true;
    say({
        event: 'enumerated', first: [...first], device: [...device], qualifier, configuration: [...all], strings,
        chosen: configuration[0], coding: [...coding], baud: mcu.uart[0].baudRate, idle, gpio15: mcu.gpio[15].ctrl,
    });
}

const overUsb = [], overUart = [];
let uartOut = [];
mcu.uart[0].onByte = (byte) => { uartOut.push(byte); lookedInVain = 0; };

function feed() {
    if (cdc.ready && overUsb.length && wanted.has(cdc.out)) give(cdc.out, overUsb.splice(0, 64));
    while (overUart.length && !mcu.uart[0].rxFIFO.full) mcu.uart[0].feedByte(overUart.shift());
    if (uartOut.length) {
        send('U', uartOut);
        uartOut = [];
    }
}

// Cycles of each layer of the last run, as rp2040js counts them.
let counts = new Map(), last = 0;

function marked(layer) {
    if (layer === 0xffffffff) counts = new Map();
    else if (layer !== 0xfffffffe) counts.set(layer, (counts.get(layer) ?? 0) + core.cycles - last);
    last = core.cycles;
}

function run() {
    const clock = simulator.clock;
    feed();
    for (let i = 0; i < BATCH; i++) {
        if (core.PC === mark && mark) marked(core.registers[0] >>> 0);
        if (core.PC === USB_BOOT) {
            say({ event: 'bootsel', arguments: [core.registers[0], core.registers[1]] });
            return;
        }
        if (core.PC < 0x4000) fail(`the program runs at ${hex(core.PC)}, in the boot ROM`);
        clock.tick(core.executeInstruction() * 8);
    }
    feed();
    const ready = waiting;
    waiting = [];
    ready.forEach((go) => go());
    const nothing = cdc.ready && !busy && !overUsb.length && !overUart.length && lookedInVain > IDLE_LOOKS;
    if (nothing) running = false;
    else setImmediate(run);
}

let running = true, busy = false;

function wake() {
    lookedInVain = 0;
    if (!running) {
        running = true;
        setImmediate(run);
    }
}

async function act({ do: what }) {
    if (what === 'counts') say({ event: 'counts', layers: [...counts] });
    if (what === 'touch') {
        busy = true;
        wake();
        await control(0x21, 0x20, 0, 0, 7, lineCoding(1200));
        await control(0x21, 0x22, 0, 0, 0);
        busy = false;
    }
}

let input = Buffer.alloc(0);
process.stdin.on('data', (data) => {
    input = Buffer.concat([input, data]);
    while (input.length >= 5 && input.length >= 5 + input.readUInt32LE(1)) {
        const kind = input.toString('latin1', 0, 1), end = 5 + input.readUInt32LE(1), body = input.subarray(5, end);
        input = input.subarray(end);
        if (kind === 'D') overUsb.push(...body);
        if (kind === 'U') overUart.push(...body);
        if (kind === 'E') act(JSON.parse(body.toString()));
    }
    wake();
});
process.stdin.on('end', () => process.exit(0));

enumerate();
run();
