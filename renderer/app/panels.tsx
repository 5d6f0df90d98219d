// Explorer, editor and chat side by side. Panels fold away by command or by dragging, and keep their sizes.
import { type ReactNode, useCallback, useEffect, useMemo, useRef } from 'react';
import { Group, Panel, type PanelImperativeHandle, Separator } from 'react-resizable-panels';
import { useStore } from 'zustand';
import type { CursorInfo } from '../editor/code-editor.tsx';
import type { EditorHandle } from '../editor/editor-handle.ts';
import type { MonacoTextStore } from '../editor/monaco-text-store.ts';
import { ChatPanel } from '../features/chat/chat-panel.tsx';
import { GitPanel } from '../features/git/git-panel.tsx';
import { treeMarks } from '../features/git/git-store.ts';
import { HeadDiff } from '../features/git/head-diff.tsx';
import { notReadyReason } from '../features/models/model-store.ts';
import { ModelWelcome } from '../features/models/model-welcome.tsx';
import { ReviewView } from '../features/review/review-view.tsx';
import { SearchPanel } from '../features/search/search-panel.tsx';
import { TerminalPanel } from '../features/terminal/terminal-panel.tsx';
import { Breadcrumbs } from '../features/workspace/breadcrumbs.tsx';
import type { Buffer } from '../features/workspace/buffer.ts';
import { EditorPane } from '../features/workspace/editor-pane.tsx';
import { Explorer } from '../features/workspace/explorer.tsx';
import { Welcome } from '../features/workspace/welcome.tsx';
import type { AppModel } from './app-model.ts';
import { exportChat } from './chat-actions.ts';
import type { Commands } from './commands.ts';
import { focusEditor } from './focus.ts';
import styles from './panels.module.css';
import { applyCode, compareWithCommit, replaceFound, showInFile } from './text-actions.ts';

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

function Side({ model }: Pick<PanelsProps, 'model'>) {
  const view = useStore(model.ui, (state) => state.sideView);
  const workspace = useStore(model.workspace, (state) => state.workspace);
  const status = useStore(model.git.store, (state) => state.status);
  const marks = useMemo(() => treeMarks(status), [status]);
  const openFolder = useCallback(() => void model.openFolder(), [model]);
  const searchInput = useCallback(
    (input: HTMLInputElement | null) => {
      model.searchInput = input;
    },
    [model],
  );
  if (view === 'search') {
    return (
      <search aria-label="Search in files" data-region="search" className={styles.explorer}>
        <SearchPanel
          search={model.search}
          hasFolder={workspace !== null}
          inputRef={searchInput}
          onOpen={(path, { line, start, end }) =>
            void showInFile(model, path, { startLine: line, startColumn: start + 1, endLine: line, endColumn: end + 1 })
          }
          onReplace={(files) => void replaceFound(model, files)}
          onOpenFolder={openFolder}
        />
      </search>
    );
  }
  if (view === 'git') {
    return (
      <section aria-label="Source control" data-region="git" className={styles.explorer}>
        <GitPanel
          git={model.git}
          hasFolder={workspace !== null}
          onOpenFolder={openFolder}
          onCompare={(path) => void compareWithCommit(model, path)}
          onSwitchBranch={() => model.ui.setState({ overlay: 'branches' })}
        />
      </section>
    );
  }
  return (
    <nav aria-label="Explorer" data-region="explorer" className={styles.explorer}>
      <Explorer
        workspace={workspace}
        tree={model.tree}
        buffers={model.buffers}
        operations={model.operations}
        marks={marks}
        onOpenFolder={openFolder}
      />
    </nav>
  );
}

interface FoldingPanelProps {
  id: string;
  defaultPx: number;
  minPx: number;
  isShown: boolean;
  onShown: (isShown: boolean) => void;
  children: ReactNode;
}

function FoldingPanel({ id, defaultPx, minPx, isShown, onShown, children }: FoldingPanelProps) {
  const panel = useRef<PanelImperativeHandle>(null);
  useEffect(() => {
    if (isShown) panel.current?.expand();
    else panel.current?.collapse();
  }, [isShown]);
  return (
    <Panel
      id={id}
      panelRef={panel}
      collapsible
      defaultSize={defaultPx}
      minSize={minPx}
      groupResizeBehavior="preserve-pixel-size"
      onResize={({ inPixels }, _id, before) => {
        if (before) onShown(inPixels > 0);
      }}
    >
      {isShown ? children : null}
    </Panel>
  );
}

/** One editor, or two side by side. */
function Editor({ model, commands }: PanelsProps) {
  const isSplit = useStore(model.buffers.store, (state) => state.split !== null);
  const isActiveRight = useStore(model.buffers.store, (state) => state.split?.isActiveRight ?? false);
  const handles = useRef<{ left: EditorHandle | null; right: EditorHandle | null }>({ left: null, right: null });
  const isRight = useRef(isActiveRight);
  const choose = useCallback(() => {
    model.editor = isRight.current ? handles.current.right : handles.current.left;
  }, [model]);
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

function Chat({ model, commands }: PanelsProps) {
  const isListShown = useStore(model.ui, (state) => state.isConversationListShown);
  const blockedReason = useStore(model.models.store, notReadyReason);
  const hasEditor = useStore(
    model.buffers.store,
    ({ activeId, buffers }) => activeId !== null && buffers[activeId]?.status === 'ready',
  );
  const insert = useCallback((text: string) => model.editor?.insert(text), [model]);
  const apply = useCallback((code: string, label: string) => void applyCode(model, code, label), [model]);
  const copy = useCallback((text: string) => model.copy(text), [model]);
  const attachActions = (
    [
      'chat.attachFile',
      'chat.attachSelection',
      'chat.attachSymbol',
      'chat.attachChanges',
      'chat.attachTerminal',
      'chat.attach',
    ] as const
  ).map((id) => {
    const { title, isEnabled, run } = commands.get(id);
    // After the menu gave the focus back.
    return { label: title, isDisabled: !isEnabled(), run: () => void setTimeout(run) };
  });
  const inputRef = useCallback(
    (input: HTMLTextAreaElement | null) => {
      model.chatInput = input;
    },
    [model],
  );
  return (
    <ChatPanel
      chat={model.chat}
      draft={model.draft}
      attachActions={attachActions}
      onExport={(format) => void exportChat(model, format)}
      inputRef={inputRef}
      isListShown={isListShown}
      onShowList={(isConversationListShown) => model.ui.setState({ isConversationListShown })}
      blockedReason={blockedReason}
      newShortcut={commands.get('chat.new').keys ?? []}
      onInsert={hasEditor ? insert : null}
      onApply={apply}
      onCopy={copy}
      onOpenLink={(url) => model.openLink(url)}
      onRemove={({ id, title }) => model.removeConversation(id, title)}
      empty={<ModelWelcome models={model.models} />}
    />
  );
}
