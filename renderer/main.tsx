// Entry of the window: one script with everything that the first picture needs. Monaco, the terminal and the dialogs are
// loaded later.
import './app/theme/tokens.css';
import './app/theme/base.css';

// Not before: modules are run in the order in which they are named.
import { mount } from './app/mount.tsx';
import { inbox } from './start.ts';

await mount(inbox);
