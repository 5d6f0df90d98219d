// The application menu, from the table of commands. The window owns what a command does.
import { app, Menu, type MenuItemConstructorOptions } from 'electron';
import { type CommandInfo, commandTable } from '../common/commands.ts';
import type { Settings } from '../common/settings.ts';

/** @param keys of commands that are not the usual ones */
export function setApplicationMenu(onCommand: (id: string) => void, keys: Settings['keys']): void {
  const item = ({ id, title, accelerator: usual }: CommandInfo): MenuItemConstructorOptions => {
    const accelerator = keys[id] === undefined ? usual : keys[id];
    return {
      id,
      label: title,
      // Shown here and handled in the window, which sees every key first.
      ...(accelerator ? { accelerator, registerAccelerator: false } : {}),
      click: () => onCommand(id),
    };
  };
  const commands = (menu: CommandInfo['menu']) => commandTable.filter((command) => command.menu === menu).map(item);
  const separator: MenuItemConstructorOptions = { type: 'separator' };
  const template: MenuItemConstructorOptions[] = [
    ...(process.platform === 'darwin' ? [{ role: 'appMenu' } as const] : []),
    { label: '&File', submenu: [...commands('file'), separator, { role: 'quit' }] },
    { role: 'editMenu' },
    {
      label: '&View',
      submenu: [
        ...commands('view'),
        separator,
        { role: 'togglefullscreen' },
        ...(app.isPackaged ? [] : [{ role: 'toggleDevTools' } as const]),
      ],
    },
    { label: '&Chat', submenu: commands('chat') },
    { role: 'windowMenu' },
    { role: 'help', submenu: commands('help') },
  ];
  Menu.setApplicationMenu(Menu.buildFromTemplate(template));
}
