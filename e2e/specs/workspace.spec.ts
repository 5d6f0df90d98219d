import { chmod, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canMountDisks, mountDisk } from '../../electron/testing/mounted-disk.ts';
import { expect, test, writeFiles } from '../support/app.ts';
import { file, openFile, shownText, status, tab, tree, typeAtEnd } from '../support/window.ts';

test.describe('Workspace', () => {
  test('open a folder, edit a file, save it, and name a new one', async ({ outpost, folder, picture }) => {
    await writeFiles(folder, {
      'src/fetch.ts': 'export async function fetchJson(url: string) {\n  return (await fetch(url)).json();\n}\n',
      'src/retry.py': 'def retry(n):\n    pass\n',
      'README.md': '# A project\n',
    });
    const page = await outpost.launch({ hasTinyModel: true });
    await picture('no folder');
    await outpost.inMain(({ dialog }, path) => {
      dialog.showOpenDialog = async () => ({ canceled: false, filePaths: [path] });
    }, folder);
    await page
      .getByRole('tree')
      .or(page.getByRole('button', { name: 'Open Folder' }).first())
      .click();
    await expect(tree(page)).toBeVisible();

    await file(page, 'src').click();
    await openFile(page, 'fetch.ts');
    expect(await shownText(page)).toContain('fetchJson(url: string)');
    await typeAtEnd(page, '// checked\n');
    await expect(tab(page, 'fetch.ts, unsaved')).toBeVisible();
    await picture('unsaved');
    expect(await readFile(join(folder, 'src/fetch.ts'), 'utf8')).not.toContain('checked');

    await page.keyboard.press('Control+s');
    await expect(tab(page, 'fetch.ts')).toBeVisible();
    expect(await readFile(join(folder, 'src/fetch.ts'), 'utf8')).toContain('}\n// checked\n');

    await page.keyboard.press('Control+z');
    await expect(tab(page, 'fetch.ts, unsaved')).toBeVisible();

    await page.keyboard.press('Control+n');
    await page.keyboard.type('hello'); // at once: the cursor is there before the next key
    await page.keyboard.press('Control+s');
    await page.getByRole('textbox', { name: 'File name' }).fill('notes/new.md');
    await page.keyboard.press('Enter');
    await expect(tab(page, 'new.md')).toBeVisible();
    await expect.poll(() => readFile(join(folder, 'notes/new.md'), 'utf8').catch(() => '')).toBe('hello');
    await expect(file(page, 'notes')).toBeVisible();
  });

  test('the first keys in a file indent as its language does, however late its rules come', async ({
    outpost,
    folder,
  }) => {
    await writeFiles(folder, { 'add.py': '' });
    const page = await outpost.launch({ folder, hasTinyModel: true });
    await outpost.inMain(({ session }) => {
      const which = { urls: ['outpost://app/*/python-*.js'] };
      session.defaultSession.webRequest.onBeforeSendHeaders(which, (_request, answer) => {
        Object.assign(globalThis, { isLate: true });
        setTimeout(() => answer({}), 1000);
      });
    });
    await openFile(page, 'add.py');
    await page.keyboard.type('def add(a, b):\nreturn');
    await page.keyboard.press('Control+s');
    await expect(tab(page, 'add.py')).toBeVisible();
    expect(await readFile(join(folder, 'add.py'), 'utf8')).toBe('def add(a, b):\n    return');
    expect(await outpost.inMain(() => 'isLate' in globalThis)).toBe(true);
  });

  test('unsaved text survives closing the window, and a power cut', async ({ outpost, folder, picture }) => {
    await writeFiles(folder, { 'a.txt': 'on disk\n', 'b.txt': 'other\n' });
    let page = await outpost.launch({ folder, hasTinyModel: true });
    await openFile(page, 'a.txt');
    await typeAtEnd(page, 'typed before closing');
    await page.keyboard.press('Control+n');
    await expect(tab(page, 'Untitled-1')).toBeVisible();
    await expect(page.locator('.monaco-editor.focused')).toBeVisible();
    await page.keyboard.type('a new thought');
    await outpost.close();
    expect(await readFile(join(folder, 'a.txt'), 'utf8')).toBe('on disk\n');

    page = await outpost.launch({ hasTinyModel: true });
    await expect(tab(page, 'a.txt, unsaved')).toBeVisible();
    await tab(page, 'a.txt, unsaved').click();
    await expect.poll(() => shownText(page)).toContain('typed before closing');
    await picture('text is back');
    await page.getByRole('tab', { name: /Untitled.*unsaved/ }).click();
    await expect.poll(() => shownText(page)).toContain('a new thought');

    await typeAtEnd(page, ', and one more');
    await page.waitForTimeout(1500); // a backup is written half a second after the last key
    await outpost.kill();
    page = await outpost.launch({ hasTinyModel: true });
    await page.getByRole('tab', { name: /Untitled.*unsaved/ }).click();
    await expect.poll(() => shownText(page)).toContain('a new thought, and one more');
  });

  test('the window’s process dies: the window shows everything again, and unsaved text is back', async ({
    outpost,
    folder,
  }) => {
    await writeFiles(folder, { 'a.txt': 'on disk\n' });
    const page = await outpost.launch({ folder, hasTinyModel: true });
    await openFile(page, 'a.txt');
    await typeAtEnd(page, 'not saved');
    await page.waitForTimeout(1500); // longer than a copy takes to be made
    // Playwright gives up on a page that crashed: it is looked at from main.
    const shown = () =>
      outpost.inMain(async ({ BrowserWindow }) => {
        const contents = BrowserWindow.getAllWindows()[0]?.webContents;
        const nothing = new Promise((resolve) => setTimeout(resolve, 1000)); // a page that has died never answers
        const text = await Promise.race([contents?.executeJavaScript('document.body.innerText'), nothing]);
        return String(text).replaceAll('\u00a0', ' ');
      });
    const processId = () =>
      outpost.inMain(({ BrowserWindow }) => BrowserWindow.getAllWindows()[0]?.webContents.getOSProcessId() ?? 0);
    const before = await processId();
    process.kill(before, 'SIGKILL');
    await expect.poll(shown).toContain('The window stopped unexpectedly');
    await expect.poll(shown).toContain('not saved');
    expect(await processId()).not.toBe(before);

    // The third time within a minute the user says whether it goes on.
    await outpost.inMain(({ dialog }) => {
      const asked: string[] = [];
      Object.assign(globalThis, { asked });
      dialog.showMessageBox = async (_window: unknown, options?: { message: string }) => {
        asked.push(options?.message ?? '');
        return { response: 0, checkboxChecked: false };
      };
    });
    const asked = () => outpost.inMain(() => (globalThis as unknown as { asked: string[] }).asked);
    for (const nAsked of [0, 1]) {
      const last = await processId();
      process.kill(last, 'SIGKILL');
      await expect.poll(processId).not.toBe(last);
      await expect.poll(shown).toContain('not saved');
      expect(await asked()).toHaveLength(nAsked);
    }
  });

  test('a change on disk under unsaved text is merged, or a question, never a loss', async ({
    outpost,
    folder,
    picture,
  }) => {
    await writeFiles(folder, { 'a.txt': 'first\n', 'b.txt': 'one\r\ntwo\r\nthree\r\n' });
    const page = await outpost.launch({ folder, hasTinyModel: true });
    await openFile(page, 'b.txt');
    await page.keyboard.press('Control+Home');
    await page.keyboard.type('mine ');
    await writeFile(join(folder, 'b.txt'), 'one\r\ntwo\r\ntheirs\r\n');
    await expect.poll(() => shownText(page)).toBe('mine one\ntwo\ntheirs\n');
    await expect(page.getByRole('region', { name: 'Notifications' })).toContainText('b.txt changed on disk.');
    await picture('merged');
    await page.keyboard.press('Control+s');
    await expect(tab(page, 'b.txt')).toBeVisible();
    expect(await readFile(join(folder, 'b.txt'), 'utf8')).toBe('mine one\r\ntwo\r\ntheirs\r\n');

    await openFile(page, 'a.txt');
    await typeAtEnd(page, 'mine');
    await writeFile(join(folder, 'a.txt'), 'theirs\n');
    await page.keyboard.press('Control+s');
    await expect(page.getByRole('alertdialog')).toContainText('a.txt');
    await picture('conflict');
    expect(await readFile(join(folder, 'a.txt'), 'utf8')).toBe('theirs\n');
    await page.keyboard.press('Escape');
    expect(await shownText(page)).toContain('mine');
  });

  test('files that cannot be edited say why', async ({ outpost, folder, picture }) => {
    await writeFiles(folder, {
      'huge.log': '',
      'locked.txt': 'do not touch\n',
      'image.bin': Buffer.from([1, 0, 2, 0, 3]),
    });
    await truncate(join(folder, 'huge.log'), 200 * 1024 * 1024);
    await chmod(join(folder, 'locked.txt'), 0o444);
    const page = await outpost.launch({ folder, hasTinyModel: true });

    await file(page, 'huge.log').click();
    await expect(page.getByRole('main')).toContainText('huge.log has 200 MB');
    await file(page, 'image.bin').click();
    await expect(page.getByRole('main')).toContainText('image.bin is not a text file.');

    await openFile(page, 'locked.txt');
    await picture('read-only');
    await expect(page.getByRole('main')).toContainText(/read-only/i);
  });

  test('a file keeps its encoding and its line endings byte for byte, or says what it cannot hold', async ({
    outpost,
    folder,
    picture,
  }) => {
    const bytes = (text: string) => Buffer.from(text, 'latin1');
    await writeFiles(folder, {
      'latin1.txt': bytes('caf\xe9\r\n\x80 5\nlast'),
      'wide.txt': Buffer.from('\ufeffa\r\nb\r\n', 'utf16le'),
    });
    const page = await outpost.launch({ folder, hasTinyModel: true });
    await openFile(page, 'latin1.txt');
    await expect(status(page)).toContainText('Windows-1252');
    expect(await shownText(page)).toContain('café\n€ 5\nlast');
    await typeAtEnd(page, ' \xfc');
    await page.keyboard.press('Control+s');
    await expect(tab(page, 'latin1.txt')).toBeVisible();
    const onDisk = () => readFile(join(folder, 'latin1.txt'));
    expect(await onDisk()).toEqual(bytes('caf\xe9\r\n\x80 5\nlast \xfc'));

    await page.keyboard.insertText(' →');
    await page.keyboard.press('Control+s');
    await expect(page.getByRole('main')).toContainText('cannot hold “→” of line 3');
    await picture('not in this encoding');
    expect(await onDisk()).toEqual(bytes('caf\xe9\r\n\x80 5\nlast \xfc'));
    await page.getByRole('button', { name: 'Save as UTF-8' }).click();
    await expect(tab(page, 'latin1.txt')).toBeVisible(); // and no longer "latin1.txt, unsaved"
    await expect(status(page)).toContainText('UTF-8');
    expect((await onDisk()).toString('utf8')).toBe('café\r\n€ 5\nlast ü →');

    await openFile(page, 'wide.txt');
    await typeAtEnd(page, 'c');
    await page.keyboard.press('Control+s');
    await expect(tab(page, 'wide.txt')).toBeVisible();
    expect(await readFile(join(folder, 'wide.txt'))).toEqual(Buffer.from('\ufeffa\r\nb\r\nc', 'utf16le'));
  });

  test('a full disk loses nothing', async ({ outpost, folder, picture }) => {
    test.skip(!canMountDisks(), 'No disk can be mounted here.');
    const unmount = mountDisk(folder, 'size=64k');
    try {
      await writeFiles(folder, { 'a.txt': 'first\n' });
      // All but the page of the other file: not one more can be written.
      await writeFiles(folder, { filler: 'x'.repeat(60 * 1024) });
      const page = await outpost.launch({ folder, hasTinyModel: true });
      await openFile(page, 'a.txt');
      await page.keyboard.press('Control+End');
      await page.keyboard.insertText('y'.repeat(400)); // as typed, letter by letter
      await page.keyboard.press('Control+s');
      await expect(page.getByRole('main')).toContainText('the disk is full');
      await picture('disk full');
      expect(await readFile(join(folder, 'a.txt'), 'utf8')).toBe('first\n');
      await expect(tab(page, 'a.txt, unsaved')).toBeVisible();

      await rm(join(folder, 'filler'));
      await page.keyboard.press('Control+s');
      await expect(tab(page, 'a.txt')).toBeVisible();
      expect((await readFile(join(folder, 'a.txt'), 'utf8')).length).toBe(406);
      await outpost.close();
    } finally {
      unmount();
    }
  });

  test('a folder that vanishes and comes back', async ({ outpost, folder, picture }) => {
    const project = join(folder, 'project');
    await writeFiles(project, { 'a.txt': 'first\n' });
    const page = await outpost.launch({ folder: project, hasTinyModel: true });
    await openFile(page, 'a.txt');
    await typeAtEnd(page, 'kept');
    await rename(project, join(folder, 'elsewhere'));
    await expect(page.getByRole('navigation', { name: 'Explorer' })).toContainText(/not there|gone|vanished|missing/i);
    await picture('folder is gone');
    expect(await shownText(page)).toContain('kept');
    await rename(join(folder, 'elsewhere'), project);
    await expect(file(page, 'a.txt, unsaved')).toBeVisible();
    await page.keyboard.press('Control+s');
    await expect.poll(() => readFile(join(project, 'a.txt'), 'utf8')).toBe('first\nkept');
  });
});
