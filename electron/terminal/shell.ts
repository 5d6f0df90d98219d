// Which shell a terminal runs, and with what environment: as in any other terminal of the user.
import { userInfo } from 'node:os';
import { basename } from 'node:path';

export interface Shell {
  program: string;
  args: string[];
  title: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function userShell(env: Environment, platform: NodeJS.Platform, loginShell = shellOfAccount()): Shell {
  if (platform === 'win32') {
    const program = env.COMSPEC ?? 'cmd.exe';
    return { program, args: [], title: 'cmd' };
  }
  const program = env.SHELL || loginShell || '/bin/sh';
  // On macOS every terminal starts login shells, and people's settings rely on it.
  return { program, args: platform === 'darwin' ? ['-l'] : [], title: basename(program) };
}

/** Ours and Electron's own variables are no business of what the user runs. */
const ours = /^(?:OUTPOST_|ELECTRON_|CHROME_|NODE_OPTIONS$|NODE_CHANNEL_FD$)/;

export function shellEnvironment(env: Environment): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !ours.test(entry[0]),
  );
  return { ...Object.fromEntries(kept), TERM: 'xterm-256color', COLORTERM: 'truecolor', TERM_PROGRAM: 'Outpost' };
}

function shellOfAccount(): string | null {
  try {
    return userInfo().shell;
  } catch {
    return null; // a user id without an account, as in some containers
  }
}
