// Records the demonstration's first page, as an animated picture for the README:
// npm run recording
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { binary, CHROMIUM, root } from "../../testing/mall.mjs";

const SIZE = { width: 1280, height: 760 };
/** How large the picture is, against the page. */
const SCALE = 0.625;
/** How many pictures a second, and for how many seconds. */
const RATE = 4;
const SECONDS = 12;
const QUALITY = 0.55;

const data = await mkdtemp(join(tmpdir(), "mallbots-recording-"));
const demo = ["demo", "--listen", "127.0.0.1:0", "--data", data, "--pace", "3", "--seed", "7", "--customers", "24", "--bots", "6"];
const server = spawn(binary, demo, { stdio: ["ignore", "pipe", "ignore"] });
const [line] = await once(createInterface(server.stdout), "line");
const address = /http:\/\/[^/]+/.exec(line)[0];
const browser = await chromium.launch(CHROMIUM);
try {
  const page = await browser.newPage({ viewport: SIZE, colorScheme: "light" });
  await page.goto(address);
  // Until there is something of everything.
  await page.locator(".bots").waitFor();
  await page.getByText("Completed").nth(1).waitFor({ timeout: 60_000 });
  const shots = [];
  const begun = performance.now();
  for (let number = 0; number < RATE * SECONDS; number++) {
    await page.waitForTimeout(Math.max(0, begun + (number * 1_000) / RATE - performance.now()));
    shots.push(await page.screenshot());
  }
  // The browser makes them smaller, and WebP of them.
  const studio = await browser.newPage();
  const width = Math.round(SIZE.width * SCALE);
  const height = Math.round(SIZE.height * SCALE);
  const frames = [];
  for (const shot of shots) {
    const url = await studio.evaluate(
      async ({ png, width, height, quality }) => {
        const picture = new Image();
        picture.src = `data:image/png;base64,${png}`;
        await picture.decode();
        const canvas = Object.assign(document.createElement("canvas"), { width, height });
        const context = canvas.getContext("2d");
        context.imageSmoothingQuality = "high";
        context.drawImage(picture, 0, 0, width, height);
        return canvas.toDataURL("image/webp", quality);
      },
      { png: shot.toString("base64"), width, height, quality: QUALITY },
    );
    frames.push(Buffer.from(url.slice(url.indexOf(",") + 1), "base64"));
  }
  const file = animation(frames, width, height, 1_000 / RATE);
  await writeFile(join(root, "docs/pictures/demo.webp"), file);
  console.log(`${frames.length} pictures, ${Math.round(file.length / 1024)} KiB`);
} finally {
  await browser.close();
  const ended = once(server, "exit");
  server.kill("SIGTERM");
  await ended;
  await rm(data, { recursive: true });
}

/**
 * WebP pictures one after the other in one file, for ever, as the WebP
 * container specification has it. A picture that equals the one before it only
 * makes that one last longer.
 */
function animation(pictures, width, height, duration) {
  const shown = [];
  for (const picture of pictures) {
    const last = shown.at(-1);
    if (last?.picture.equals(picture)) last.duration += duration;
    else shown.push({ picture, duration });
  }
  const size = [...three(width - 1), ...three(height - 1)];
  const isAnimated = 0x02;
  const frames = shown.map(({ picture, duration }) => {
    // Where it stands, how large it is, how long it lasts; it replaces what was there.
    const head = [...three(0), ...three(0), ...size, ...three(duration), 0x02];
    return chunk("ANMF", Buffer.concat([Buffer.from(head), bitstream(picture)]));
  });
  const forEver = chunk("ANIM", Buffer.from([255, 255, 255, 255, 0, 0]));
  const head = chunk("VP8X", Buffer.from([isAnimated, 0, 0, 0, ...size]));
  return chunk("RIFF", Buffer.concat([Buffer.from("WEBP"), head, forEver, ...frames]));
}

/** What a picture in one piece is made of, without what is around it. */
function bitstream(file) {
  for (let at = 12; at < file.length; ) {
    const length = file.readUInt32LE(at + 4);
    const end = at + 8 + length + (length % 2);
    if (file.toString("latin1", at, at + 3) === "VP8" && file[at + 3] !== 0x58) return file.subarray(at, end);
    at = end;
  }
  throw new Error("this is no WebP");
}

function chunk(name, content) {
  const head = Buffer.alloc(8);
  head.write(name, "latin1");
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
}

function three(number) {
  return [number & 255, (number >> 8) & 255, (number >> 16) & 255];
}
