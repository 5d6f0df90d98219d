// The window on a scripted API, for work on its looks: run `vite` and open /testing/?scene=<name>. Not part of the
// build. A scene is a state of the app; `window.fake` lets a script change it.
import '../app/theme/tokens.css';
import '../app/theme/base.css';
import { mountOn } from '../app/mount.tsx';
import { scenes } from './scenes.ts';

const name = new URLSearchParams(location.search).get('scene') ?? 'chat';
const fake = (scenes[name] ?? scenes.chat)?.();
if (fake) {
  Object.assign(window, { fake });
  await mountOn(fake.api);
}
