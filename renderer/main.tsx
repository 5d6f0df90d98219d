// Entry of the window: takes the ports before anything else can miss them, paints the theme, then loads the rest
// (Monaco is most of it) and mounts the app.
import './app/theme/tokens.css';
import './app/theme/base.css';
import { PortInbox } from './app/port-inbox.ts';

const inbox = new PortInbox(window);
document.documentElement.dataset.theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
inbox.announceReady();

const { mount } = await import('./app/mount.tsx');
await mount(inbox);
