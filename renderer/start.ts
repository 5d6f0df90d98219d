// Runs before the rest of the window's code: takes the ports before anything else can miss them, and paints the theme.
import { PortInbox } from './app/port-inbox.ts';

export const inbox = new PortInbox(window);
document.documentElement.dataset.theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
// Main loads what answers while the modules below are run.
inbox.announceReady();
