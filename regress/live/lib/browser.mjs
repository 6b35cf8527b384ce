// Debian's Chromium, without a screen, as the person at the keyboard.
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { later, ok } from './harness.mjs';
import { obj } from './paths.mjs';

export const shots = `${obj}/shots`;

export async function launch() {
	const browser = await chromium.launch({
		executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
		args: ['--disable-gpu', '--disable-dev-shm-usage'],
	});
	later(() => browser.close());
	mkdirSync(shots, { recursive: true });
	return browser;
}

const sizes = { phone: { width: 390, height: 844 },
    desktop: { width: 1200, height: 800 } };

async function shoot(page, name) {
	const now = page.viewportSize();
	for (const [size, viewport] of Object.entries(sizes))
		for (const colorScheme of ['light', 'dark']) {
			await page.setViewportSize(viewport);
			await page.emulateMedia({ colorScheme });
			await page.screenshot({ fullPage: true,
			    path: `${shots}/${name}-${size}-${colorScheme}.png` });
		}
	await page.setViewportSize(now);
}

// Opens the authorization URL as a person would: types the password, reads,
// allows. Returns when the browser has left for the client's redirect.
// saw: what was on the pages.
export async function allow(browser, url, password,
    { name, user = 'owner', shot = false } = {}) {
	const context = await browser.newContext();
	const problems = [];
	try {
		const page = await context.newPage();
		page.on('console', (m) => {
			if (m.type() === 'error')
				problems.push(m.text());
		});
		const first = await page.goto(String(url));
		ok(first.status() === 200, `sign-in page: ${first.status()}`);
		if (shot)
			await shoot(page, `${name}-signin`);
		const who = page.locator('input[name=user]:visible');
		if (await who.count() > 0)
			await who.fill(user);
		await page.locator('input[type=password]').fill(password);
		await page.locator('button.go').click();
		const yes = page.getByRole('button', { name: 'Allow' });
		await yes.waitFor({ timeout: 15_000 });
		const consent = await page.locator('main').innerText();
		if (shot)
			await shoot(page, `${name}-consent`);
		const gone = page.waitForURL((u) => u.searchParams.has('code') ||
		    u.searchParams.has('error'), { timeout: 15_000,
		    waitUntil: 'commit' });
		await yes.click();
		await gone;
		ok(problems.length === 0,
		    `the browser complained: ${problems.join('; ')}`);
		return { consent, at: page.url() };
	} finally {
		await context.close();
	}
}
