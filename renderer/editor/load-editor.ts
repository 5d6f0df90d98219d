// Monaco is most of the window's code, and a window without a text needs none of it: it comes with the first text, or
// when the window has nothing else to do. From outside of this folder everything that needs Monaco is reached from here.
type Editor = typeof import('./editor-bundle.ts');

const { promise, resolve, reject } = Promise.withResolvers<Editor>();
let editor: Editor | null = null;
let isLoading = false;

/** Resolves when Monaco is there, whoever asked for it. */
export const whenEditorIsLoaded: Promise<Editor> = promise;
// Whoever asks for it hears of a failure.
promise.catch(() => {});

export function loadEditor(): Promise<Editor> {
  if (!isLoading) {
    isLoading = true;
    import('./editor-bundle.ts').then((loaded) => {
      editor = loaded;
      resolve(loaded);
    }, reject);
  }
  return promise;
}

/** @pre a text is open, or was: Monaco came with it */
export function loadedEditor(): Editor {
  if (editor === null) throw new Error('The editor is used before any text was opened.');
  return editor;
}
