// Fills in the form as somebody without a mouse does, and looks at every page on the way. Prints one JSON object.
//
//   node browser.mjs MODULES OPTIONS   (OPTIONS is JSON: url, width, dark, script, lang, photo, shots, service)
import { createRequire } from 'node:module';

const [modules, given] = process.argv.slice(2);
const options = JSON.parse(given);
const require = createRequire(modules + '/');
const { chromium } = require('playwright-core');
const axe = require('axe-core').source;

const browser = await chromium.launch({
  executablePath: options.chromium,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const context = await browser.newContext({
  viewport: { width: options.width, height: 800 },
  colorScheme: options.dark ? 'dark' : 'light',
  locale: options.lang,
  geolocation: { latitude: 39.5, longitude: -0.4 },
  permissions: ['geolocation'],
});
const page = await context.newPage();
page.setDefaultTimeout(90000);
// Without scripts at all axe could not look either; the page has this one and no other.
if (options.script === false) await page.route('**/form.js', (route) => route.abort());
const said = { violations: [], small: [], wide: [], console: [], shots: [] };
page.on('console', (message) => { if (message.type() === 'error') said.console.push(message.text()); });
page.on('pageerror', (error) => said.console.push(String(error)));

// axe and our own measurements run in an isolated world of the debugger: the page's policy is no hindrance.
const session = await context.newCDPSession(page);
const evaluate = async (expression) => {
  const { frameTree } = await session.send('Page.getFrameTree');
  const { executionContextId } = await session.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id });
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
    expression, contextId: executionContextId, awaitPromise: true, returnByValue: true,
  });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
};

const look = async (name) => {
  const found = await evaluate(`${axe};
    axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
      .then((r) => JSON.stringify({ passes: r.passes.length, violations: r.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.html).join(' | ')) }))`);
  const { passes, violations } = JSON.parse(found);
  if (passes < 10) throw new Error(`axe looked at nothing on ${name}`);
  said.violations.push(...violations.map((violation) => `${name}: ${violation}`));
  // WCAG 2.2, 2.5.8: 24 by 24 CSS pixels, but links inside a sentence.
  const small = await evaluate(`JSON.stringify([...document.querySelectorAll('a, button, input, select, textarea, summary')]
    .filter((e) => e.checkVisibility() && !e.closest('.trap, .first, .skip') && !e.matches('.first, .skip, [type=hidden], p:not(.after) a, h1 a, li a:only-child'))
    .map((e) => [e, e.getBoundingClientRect()]).filter(([, box]) => box.width < 24 || box.height < 24)
    .map(([e]) => e.outerHTML.slice(0, 120)))`);
  said.small.push(...JSON.parse(small).map((element) => `${name}: ${element}`));
  const width = await evaluate('document.scrollingElement.scrollWidth');
  if (width > options.width) said.wide.push(`${name}: ${width} px`);
  const file = `${options.shots}/${name}-${options.width}${options.dark ? '-dark' : ''}${options.script === false ? '-noscript' : ''}.png`;
  await page.screenshot({ path: file, fullPage: true });
  said.shots.push(file);
};

const focused = () => evaluate('document.activeElement ? document.activeElement.id || document.activeElement.className || document.activeElement.tagName : ""');
const tabTo = async (wanted) => {
  for (let step = 0; step < 60; step += 1) {
    if ((await focused()) === wanted) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab does not reach ${wanted}; it stands on ${await focused()}`);
};
const press = async () => {
  await tabTo('send');
  const outline = await evaluate('getComputedStyle(document.activeElement).outlineStyle + " " + getComputedStyle(document.activeElement).outlineWidth');
  said.outline = outline;
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
};

// The browser is told to hand over its dialogs of files when the first listener is there, and a key pressed before it has heard that opens
// one that nobody sees.
page.on('filechooser', () => {});

try {
  said.status = (await page.goto(options.url)).status();
  said.lang = await evaluate('document.documentElement.lang');
  await look('form');
  await page.waitForTimeout(1200);

  await press();
  said.errors = await evaluate('document.querySelectorAll("#errors li").length');
  said.errorTitle = await page.title();
  said.focusAfterError = await focused();
  await look('errors');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  said.focusAfterLink = await focused();

  const chosen = () => evaluate('document.getElementById("service").selectedOptions[0].textContent');
  const choose = async (wanted) => {
    await tabTo('service');
    for (let step = 0; step < 30 && !(await chosen()).startsWith(wanted); step += 1) await page.keyboard.press('ArrowDown');
    said.service = await chosen();
  };
  await choose(options.service);
  if (options.question) {
    await tabTo('quiet');
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    await look('questions');
    await tabTo('question-1');
    await page.keyboard.press('Space');
    said.answer = await evaluate('document.activeElement.value');
  }
  await tabTo('description');
  await page.keyboard.type('El contenedor está lleno.\n<b>Huele</b> & mal.');
  if (options.script !== false) {
    await tabTo('locate');
    if (options.locate) {
      await page.keyboard.press('Enter');
      await page.waitForFunction(() => document.getElementById('lat').value !== '');
      said.located = await evaluate('document.getElementById("lat").value + " " + document.getElementById("located").textContent');
    }
  }
  await tabTo('photo');
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.keyboard.press('Space')]);
  await chooser.setFiles(options.photo);
  await tabTo('name');
  await page.keyboard.type('Ana Ferré');
  await tabTo('email');
  await page.keyboard.type(options.email);
  await page.waitForTimeout(1200);
  await press();
  said.title = await page.title();
  said.reference = await evaluate('document.querySelector(".reference")?.textContent ?? null');
  said.body = await evaluate('document.querySelector("main").innerText');
  await look('thanks');
  await page.emulateMedia({ media: 'print' });
  await page.screenshot({ path: `${options.shots}/print-${options.width}.png`, fullPage: true });
} catch (error) {
  said.failure = String(error.stack ?? error);
  await page.screenshot({ path: `${options.shots}/failure.png`, fullPage: true }).catch(() => {});
} finally {
  await browser.close();
}
console.log(JSON.stringify(said));
