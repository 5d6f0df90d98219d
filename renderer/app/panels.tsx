// Explorer, editor and chat side by side. Panels fold away by command or by dragging, and keep their sizes.
import { useCallback, useEffect, useMemo, useRef } from 'react';
import { Group, Panel, Separator } from 'react-resizable-panels';
import { useStore } from 'zustand';
import type { CursorInfo } from '../editor/code-editor.tsx';
import type { EditorHandle } from '../editor/editor-handle.ts';
import type { MonacoTextStore } from '../editor/monaco-text-store.ts';
import { HeadDiff } from '../features/git/head-diff.tsx';
import { ReviewView } from '../features/review/review-view.tsx';
import { TerminalPanel } from '../features/terminal/terminal-panel.tsx';
import { Breadcrumbs } from '../features/workspace/breadcrumbs.tsx';
import type { Buffer } from '../features/workspace/buffer.ts';
import { EditorPane } from '../features/workspace/editor-pane.tsx';
import { Welcome } from '../features/workspace/welcome.tsx';
import type { AppModel } from './app-model.ts';
import { Chat } from './chat-area.tsx';
import type { Commands } from './commands.ts';
import { focusEditor } from './focus.ts';
import { FoldingPanel } from './folding-panel.tsx';
import styles from './panels.module.css';
import { Side } from './side-area.tsx';
import { useTypingPlace } from './use-typing-place.ts';

interface PanelsProps {
  model: AppModel<MonacoTextStore>;
  commands: Commands;
}

const kExplorerPx = 240;
const kChatPx = 400;
const kTerminalPx = 240;

export function Panels({ model, commands }: PanelsProps) {
  const { ui } = model;
  const isSideShown = useStore(ui, (state) => state.isSideShown);
  const isChatShown = useStore(ui, (state) => state.isChatShown);
  // Sizes of the last session; later changes come from the panels themselves.
  const layout = useMemo(() => ui.getState().layout, [ui]);
  return (
    <Group
      className={styles.panels}
      {...(Object.keys(layout).length === 3 ? { defaultLayout: { ...layout } } : {})}
      onLayoutChanged={(changed, { isUserInteraction }) => isUserInteraction && ui.setState({ layout: changed })}
    >
      <FoldingPanel
        id="explorer"
        defaultPx={kExplorerPx}
        minPx={160}
        isShown={isSideShown}
        onShown={(isShown) => ui.setState({ isSideShown: isShown })}
      >
        <Side model={model} />
      </FoldingPanel>
      <Separator className={styles.separator} />
      <Panel id="editor" minSize={280}>
        <Centre model={model} commands={commands} />
      </Panel>
      <Separator className={styles.separator} />
      <FoldingPanel
        id="chat"
        defaultPx={kChatPx}
        minPx={300}
        isShown={isChatShown}
        onShown={(isShown) => ui.setState({ isChatShown: isShown })}
      >
        <aside aria-label="Chat" data-region="chat" className={styles.chat}>
          <Chat model={model} commands={commands} />
        </aside>
      </FoldingPanel>
    </Group>
  );
}

/** The editor, with the terminals below it. */
function Centre({ model, commands }: PanelsProps) {
  const isShown = useStore(model.ui, (state) => state.isTerminalShown);
  const onHide = useCallback(() => model.ui.setState({ isTerminalShown: false }), [model]);
  return (
    <Group orientation="vertical">
      <Panel id="text" minSize={120}>
        <main aria-label="Editor" data-region="editor" className={styles.editor}>
          <Editor model={model} commands={commands} />
        </main>
      </Panel>
      {isShown ? (
        <>
          <Separator className={styles.lying} />
          <Panel id="terminal" defaultSize={kTerminalPx} minSize={100} groupResizeBehavior="preserve-pixel-size">
            <section aria-label="Terminal" data-region="terminal" className={styles.editor}>
              <TerminalPanel
                terminals={model.terminals}
                shortcut={commands.get('terminal.toggle').keys ?? []}
                onAttach={commands.get('chat.attachTerminal').run}
                onHide={onHide}
              />
            </section>
          </Panel>
        </>
      ) : null}
    </Group>
  );
}

/** One editor, or two side by side. */
function Editor({ model, commands }: PanelsProps) {
  const isSplit = useStore(model.buffers.store, (state) => state.split !== null);
  const isActiveRight = useStore(model.buffers.store, (state) => state.split?.isActiveRight ?? false);
  const handles = useRef<{ left: EditorHandle | null; right: EditorHandle | null }>({ left: null, right: null });
  const isRight = useRef(isActiveRight);
  const isTextAwaited = useTypingPlace();
  const choose = useCallback(() => {
    const before = model.editor;
    model.editor = isRight.current ? handles.current.right : handles.current.left;
    // It can take the focus when it has its text, which it gets next.
    if (before === null && model.editor !== null)
      queueMicrotask(() => {
        if (isTextAwaited()) model.editor?.focus();
      });
  }, [model, isTextAwaited]);
  useEffect(() => {
    isRight.current = isActiveRight;
    choose();
  }, [isActiveRight, choose]);
  const onLeft = useCallback(
    (handle: EditorHandle | null) => {
      handles.current.left = handle;
      choose();
    },
    [choose],
  );
  const onRight = useCallback(
    (handle: EditorHandle | null) => {
      handles.current.right = handle;
      choose();
    },
    [choose],
  );
  return (
    <Group>
      <Panel id="left" minSize={160}>
        <Half model={model} commands={commands} isRight={false} onHandle={onLeft} />
      </Panel>
      {isSplit ? (
        <>
          <Separator className={styles.separator} />
          <Panel id="right" minSize={160}>
            <Half model={model} commands={commands} isRight onHandle={onRight} />
          </Panel>
        </>
      ) : null}
    </Group>
  );
}

interface HalfProps extends PanelsProps {
  isRight: boolean;
  onHandle: (handle: EditorHandle | null) => void;
}

function Half({ model, commands, isRight, onHandle }: HalfProps) {
  const fontSize = useStore(model.settings.store, (settings) => settings.editorFontSize);
  const { workspace, recent } = useStore(model.workspace);
  const isActive = useStore(model.buffers.store, ({ split }) => (split?.isActiveRight ?? false) === isRight);
  const onCursor = useCallback(
    (cursor: CursorInfo) => {
      const { split } = model.buffers.store.getState();
      if ((split?.isActiveRight ?? false) === isRight) model.ui.setState({ cursor });
    },
    [model, isRight],
  );
  const reviews = useStore(model.reviews.store, (state) => state.reviews);
  const compared = useStore(model.git.store, (state) => state.compared);
  const activeId = useStore(model.buffers.store, (state) => state.activeId);
  const reviewedId = activeId !== null && reviews[activeId] ? activeId : null;
  const onTabPicked = useCallback(() => focusEditor(model), [model]);
  const ids = workspace
    ? (['file.quickOpen', 'chat.focus', 'palette.open', 'file.new'] as const)
    : (['chat.focus', 'palette.open', 'settings.open'] as const);
  const shortcuts = ids.map((id) => {
    const { title, keys, run } = commands.get(id);
    return { title: title.replace('…', ''), keys: keys ?? [], run };
  });
  return (
    <EditorPane
      buffers={model.buffers}
      texts={model.texts}
      fontSize={fontSize}
      isRight={isRight}
      onCursor={onCursor}
      onHandle={onHandle}
      onTabPicked={onTabPicked}
      above={(active) => (
        <Path model={model} buffer={active} label={isRight ? 'Breadcrumbs, right half' : 'Breadcrumbs'} />
      )}
      over={(active) =>
        !isActive ? null : compared?.bufferId === active.id ? (
          <HeadDiff
            key={active.id}
            original={compared.original}
            text={model.texts.text(active.id)}
            title={active.title}
            languageId={active.languageId}
            onClose={() => {
              model.git.stopComparing();
              onTabPicked();
            }}
          />
        ) : reviewedId === active.id ? (
          <ReviewView
            key={active.id}
            reviews={model.reviews}
            bufferId={active.id}
            title={active.title}
            languageId={active.languageId}
            fontSize={fontSize}
            onClosed={onTabPicked}
          />
        ) : null
      }
      welcome={
        <Welcome
          workspace={workspace}
          recent={recent}
          shortcuts={shortcuts}
          onOpenFolder={() => void model.openFolder()}
          onOpenRecent={(root) => void model.openFolder(root)}
        />
      }
    />
  );
}

function Path({ model, buffer, label }: Pick<PanelsProps, 'model'> & { buffer: Buffer; label: string }) {
  const line = useStore(model.ui, (state) => state.cursor.line);
  const onFolder = useCallback(
    (path: string) => {
      model.ui.setState({ isSideShown: true, sideView: 'explorer' });
      void model.tree.reveal(path).then(() => model.tree.expand(path));
    },
    [model],
  );
  const onSymbols = useCallback(() => model.ui.setState({ overlay: 'goToSymbol' }), [model]);
  return (
    <Breadcrumbs
      key={buffer.id}
      label={label}
      buffer={buffer}
      texts={model.texts}
      line={line}
      onFolder={onFolder}
      onSymbols={onSymbols}
    />
  );
}
