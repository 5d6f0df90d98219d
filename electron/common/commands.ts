// The commands that have a name and a key: the application menu (main) and the command palette (renderer) are
// both built from this table, so a shortcut is written once. The renderer owns what a command does; main sends
// `{ type: 'command', command: id }` when a menu item is chosen.

export interface CommandInfo {
  readonly id: string;
  /** Title in the palette, and in the menu unless the menu says it shorter. */
  readonly title: string;
  /** The menu that holds it; null keeps it in the palette only. */
  readonly menu: 'file' | 'view' | 'chat' | 'help' | null;
  /** Electron's accelerator syntax; `CmdOrCtrl` is Command on macOS and Control elsewhere. */
  readonly accelerator?: string;
}

export const commandTable = [
  { id: 'file.new', title: 'New File', menu: 'file', accelerator: 'CmdOrCtrl+N' },
  { id: 'workspace.open', title: 'Open Folder…', menu: 'file', accelerator: 'CmdOrCtrl+O' },
  { id: 'workspace.close', title: 'Close Folder', menu: 'file' },
  { id: 'file.quickOpen', title: 'Go to File…', menu: 'file', accelerator: 'CmdOrCtrl+P' },
  { id: 'editor.goToSymbol', title: 'Go to Symbol…', menu: 'view', accelerator: 'CmdOrCtrl+Shift+O' },
  { id: 'editor.goToLine', title: 'Go to Line…', menu: 'view', accelerator: 'Ctrl+G' },
  { id: 'editor.find', title: 'Find in File', menu: 'view', accelerator: 'CmdOrCtrl+F' },
  { id: 'editor.replace', title: 'Replace in File', menu: 'view', accelerator: 'CmdOrCtrl+Alt+F' },
  { id: 'editor.format', title: 'Format the File', menu: 'view', accelerator: 'Shift+Alt+F' },
  { id: 'file.save', title: 'Save', menu: 'file', accelerator: 'CmdOrCtrl+S' },
  { id: 'file.saveAs', title: 'Save As…', menu: 'file', accelerator: 'CmdOrCtrl+Shift+S' },
  { id: 'file.saveAll', title: 'Save All', menu: 'file', accelerator: 'CmdOrCtrl+Alt+S' },
  { id: 'tab.close', title: 'Close Tab', menu: 'file', accelerator: 'CmdOrCtrl+W' },
  { id: 'settings.open', title: 'Settings…', menu: 'file', accelerator: 'CmdOrCtrl+,' },
  { id: 'settings.json', title: 'Edit the Settings as JSON…', menu: 'file' },
  { id: 'keys.open', title: 'Keyboard Shortcuts…', menu: 'file', accelerator: 'CmdOrCtrl+Alt+K' },
  { id: 'search.open', title: 'Search in Files', menu: 'view', accelerator: 'CmdOrCtrl+Shift+F' },
  { id: 'search.replace', title: 'Replace in Files', menu: 'view', accelerator: 'CmdOrCtrl+Shift+H' },
  { id: 'git.open', title: 'Show Source Control', menu: 'view', accelerator: 'CmdOrCtrl+Shift+G' },
  { id: 'git.compare', title: 'Compare This File With the Last Commit', menu: 'view' },
  { id: 'git.switch', title: 'Switch Branch…', menu: null },
  { id: 'palette.open', title: 'Command Palette…', menu: 'view', accelerator: 'CmdOrCtrl+Shift+P' },
  { id: 'view.toggleExplorer', title: 'Toggle Side Panel', menu: 'view', accelerator: 'CmdOrCtrl+B' },
  { id: 'view.toggleChat', title: 'Toggle Chat', menu: 'view', accelerator: 'CmdOrCtrl+J' },
  { id: 'view.focusExplorer', title: 'Focus Explorer', menu: 'view', accelerator: 'CmdOrCtrl+Shift+E' },
  { id: 'view.focusEditor', title: 'Focus Editor', menu: 'view', accelerator: 'CmdOrCtrl+1' },
  { id: 'view.split', title: 'Split the Editor or Join It', menu: 'view', accelerator: 'CmdOrCtrl+\\' },
  { id: 'view.otherHalf', title: 'Focus the Other Half of the Editor', menu: 'view', accelerator: 'CmdOrCtrl+2' },
  { id: 'view.nextRegion', title: 'Focus Next Region', menu: 'view', accelerator: 'F6' },
  { id: 'view.previousRegion', title: 'Focus Previous Region', menu: 'view', accelerator: 'Shift+F6' },
  { id: 'tab.next', title: 'Next Tab', menu: 'view', accelerator: 'Ctrl+Tab' },
  { id: 'tab.previous', title: 'Previous Tab', menu: 'view', accelerator: 'Ctrl+Shift+Tab' },
  { id: 'view.theme', title: 'Switch Between Light and Dark Theme', menu: 'view' },
  { id: 'view.increaseFontSize', title: 'Increase Font Size', menu: 'view', accelerator: 'CmdOrCtrl+=' },
  { id: 'view.decreaseFontSize', title: 'Decrease Font Size', menu: 'view', accelerator: 'CmdOrCtrl+-' },
  { id: 'view.contrast', title: 'Switch High Contrast On or Off', menu: 'view' },
  { id: 'view.zoomIn', title: 'Zoom In', menu: 'view', accelerator: 'CmdOrCtrl+Alt+=' },
  { id: 'view.zoomOut', title: 'Zoom Out', menu: 'view', accelerator: 'CmdOrCtrl+Alt+-' },
  { id: 'view.zoomReset', title: 'Reset the Zoom', menu: 'view', accelerator: 'CmdOrCtrl+Alt+0' },
  { id: 'terminal.toggle', title: 'Show or Hide the Terminal', menu: 'view', accelerator: 'Ctrl+`' },
  { id: 'terminal.new', title: 'New Terminal', menu: 'view', accelerator: 'Ctrl+Shift+`' },
  { id: 'chat.attachTerminal', title: 'Attach the Output of the Terminal', menu: 'chat' },
  { id: 'completion.toggle', title: 'Turn Inline Completion On or Off', menu: null },
  { id: 'search.byMeaning', title: 'Search by Meaning', menu: 'view' },
  { id: 'completion.latency', title: 'Show the Latency of Suggestions', menu: 'help' },
  { id: 'completion.acceptWord', title: 'Accept a Word of the Suggestion', menu: null },
  {
    id: 'completion.acceptLine',
    title: 'Accept a Line of the Suggestion',
    menu: null,
    accelerator: 'CmdOrCtrl+Alt+Right',
  },
  { id: 'completion.trigger', title: 'Suggest a Completion Here', menu: null, accelerator: 'Alt+\\' },
  { id: 'chat.focus', title: 'Ask in Chat', menu: 'chat', accelerator: 'CmdOrCtrl+L' },
  { id: 'chat.new', title: 'New Conversation', menu: 'chat', accelerator: 'CmdOrCtrl+Shift+L' },
  { id: 'chat.attachFile', title: 'Attach This File', menu: 'chat' },
  { id: 'chat.attachSelection', title: 'Attach the Selection', menu: 'chat', accelerator: 'CmdOrCtrl+Alt+L' },
  { id: 'chat.attachSymbol', title: 'Attach the Function or Type at the Cursor', menu: 'chat' },
  { id: 'chat.attachChanges', title: 'Attach the Changes of This File', menu: 'chat' },
  { id: 'chat.attach', title: 'Attach a File or Folder…', menu: 'chat' },
  { id: 'chat.exportMarkdown', title: 'Export the Conversation as Markdown…', menu: 'chat' },
  { id: 'chat.exportJson', title: 'Export the Conversation as JSON…', menu: 'chat' },
  { id: 'chat.history', title: 'Show Conversations', menu: 'chat' },
  { id: 'chat.stop', title: 'Stop the Reply', menu: 'chat' },
  { id: 'model.manage', title: 'Models…', menu: 'chat', accelerator: 'CmdOrCtrl+Shift+M' },
  { id: 'model.choose', title: 'Choose a Model File…', menu: 'chat' },
  { id: 'model.useDefault', title: 'Use the Default Model', menu: null },
  { id: 'help.firstSteps', title: 'Show the First Steps', menu: 'help' },
  { id: 'activity.show', title: 'Show What Runs, and Notifications', menu: 'help', accelerator: 'CmdOrCtrl+Alt+A' },
  { id: 'notifications.quiet', title: 'Silence Notes or Let Them Appear', menu: null },
  { id: 'network.show', title: 'Show Connections', menu: 'help' },
  { id: 'network.toggle', title: 'Switch the Network On or Off', menu: null },
  { id: 'engine.stopLoading', title: 'Stop Loading the Model', menu: null },
  { id: 'engine.load', title: 'Load the Model', menu: null },
  { id: 'engine.restart', title: 'Restart the Engine', menu: 'help' },
] as const satisfies readonly CommandInfo[];

export type CommandId = (typeof commandTable)[number]['id'];

export function isCommandId(value: string): value is CommandId {
  return commandTable.some((command) => command.id === value);
}
