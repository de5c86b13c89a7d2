// The example pages in a real browser: opened, clicked, read, photographed into build/screenshots.
import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { chromium } from "playwright-core";
import { example, missing, ROOT, serve } from "./lib.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const SHOTS = join(ROOT, "build/screenshots");
const skip = missing() || (existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed: apt-get install chromium (tools/setup does it)`);

describe("pages in a browser", { skip }, () => {
  let browser;
  before(async () => {
    mkdirSync(SHOTS, { recursive: true });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGS });
  });
  after(() => browser?.close());

  /* A page that fails the test for every error it logs. */
  async function open(t, url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 900, height: 760 }, ...options });
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(error.message));
    page.on("console", (line) => { if (line.type() === "error") errors.push(line.text()); });
    t.after(async () => {
      await context.close();
      assert.deepEqual(errors, []);
    });
    page.setDefaultTimeout(20_000);
    await page.goto(url);
    return page;
  }
  const shoot = (page, name) => page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });

  /* Light, dark and narrow; and never wider than the screen. */
  async function shootAll(page, name) {
    await shoot(page, name);
    await page.emulateMedia({ colorScheme: "dark" });
    await shoot(page, `${name}-dark`);
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 360, height: 740 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page is wider than a phone");
    await shoot(page, `${name}-narrow`);
  }

  it("home links to the four apps on its own port", async (t) => {
    const app = await serve(t, example("00-home"));
    const page = await open(t, app.url);
    const links = await page.locator("a[data-app]").evaluateAll((all) => all.map((one) => one.href));
    assert.deepEqual(links, ["counter", "rooms", "state", "reminders"].map((name) => `http://${name}.localhost:${app.port}/`));
    await shootAll(page, "00-home");
  });

  it("counter counts what is clicked and keeps it", async (t) => {
    const app = await serve(t, example("01-counter"));
    const page = await open(t, app.url);
    const number = (name) => page.locator(`[data-name="${name}"] .number`);
    await number("tea").getByText("0", { exact: true }).waitFor();
    for (const shown of ["1", "2", "3"]) {
      await page.locator('[data-name="tea"]').getByRole("button", { name: "Add one" }).click();
      await number("tea").getByText(shown, { exact: true }).waitFor();
    }
    await page.getByLabel("Another name").fill("cocoa");
    await page.getByRole("button", { name: "Open it" }).click();
    await page.locator('[data-name="cocoa"]').getByRole("button", { name: "Take one" }).click();
    await number("cocoa").getByText("-1", { exact: true }).waitFor();
    await shootAll(page, "01-counter");
    await page.reload();
    await number("tea").getByText("3", { exact: true }).waitFor();
  });

  it("rooms carries words between two tabs", async (t) => {
    const app = await serve(t, example("02-rooms"));
    const ada = await open(t, `${app.url}/?who=Ada`);
    const bob = await open(t, `${app.url}/?who=Bob`);
    await ada.getByText("Ada, Bob").waitFor();
    await bob.getByRole("textbox", { name: "Message" }).fill("Is anybody awake?");
    await bob.getByRole("button", { name: "Send" }).click();
    await ada.getByText("Is anybody awake?").waitFor();
    await ada.getByRole("textbox", { name: "Message" }).fill("Only me. The room itself is asleep.");
    await ada.keyboard.press("Enter");
    await bob.getByText("Only me.").waitFor();
    await bob.close();
    await ada.locator("#people").getByText("Ada", { exact: true }).waitFor();
    await shootAll(ada, "02-rooms");
  });

  it("state keeps two tabs in step", async (t) => {
    const app = await serve(t, example("03-state"));
    const one = await open(t, app.url);
    const two = await open(t, app.url);
    const cell = (page, row, column) => page.getByRole("button", { name: new RegExp(`^row ${row}, column ${column},`) });
    await two.getByRole("textbox", { name: "Title" }).waitFor();
    for (const [colour, cells] of MOUSE) {
      await one.getByRole("radio", { name: colour }).click();
      for (const [row, column] of cells) await cell(one, row, column).click();
    }
    await two.getByRole("button", { name: "row 10, column 10, brick" }).waitFor();
    await one.getByRole("textbox", { name: "Title" }).fill("A dormouse");
    await two.waitForFunction(() => document.querySelector("input").value === "A dormouse");
    await shootAll(two, "03-state");
    await two.getByRole("button", { name: "Clear" }).click();
    await cell(one, 10, 10).and(one.locator('[aria-label$="paper"]')).waitFor();
  });

  it("reminders are armed, fire and can be cancelled", async (t) => {
    const app = await serve(t, example("04-reminders"));
    const page = await open(t, app.url);
    const arm = async (text, kind, value) => {
      await page.getByLabel("Remind me to").fill(text);
      await page.getByLabel("When").selectOption(kind);
      if (value) await page.locator('input[name="value"]').fill(value);
      await page.getByRole("button", { name: "Arm it" }).click();
      await page.locator("main").getByText(text).first().waitFor();
    };
    const armed = page.locator('[data-list="armed"]'), fired = page.locator('[data-list="fired"]');
    await page.getByText("list “mine”").waitFor();
    await arm("look out of the window", "cron", "0 9 * * *");
    await arm("stretch", "every", "600");
    await arm("call the cat", "date", "2040-01-01T09:00");
    await arm("drink some water", "delay", "1");
    await fired.getByText("drink some water").waitFor();
    await shootAll(page, "04-reminders");
    await page.getByRole("button", { name: "Cancel stretch" }).click();
    await armed.getByText("stretch").waitFor({ state: "detached" });
    assert.equal(await armed.getByRole("listitem").count(), 2);
  });
});

const MOUSE = [
  ["plum", [[3, 3], [3, 4], [3, 9], [3, 10]]],
  ["amber", [4, 5, 6, 7, 8].flatMap((row) => [4, 5, 6, 7, 8, 9].map((column) => [row, column]))],
  ["ink", [[5, 5], [5, 8], [7, 6], [7, 7]]],
  ["brick", [[9, 9], [10, 10]]],
];
