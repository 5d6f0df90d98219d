// Draws a reply's Markdown as elements. No HTML is ever parsed: HTML in the text shows as text, images show as
// links, and links go through a handler, so nothing can be loaded or run. Unchanged blocks are not drawn again.
import type { Token, Tokens } from 'marked';
import { memo, type ReactNode, useRef } from 'react';
import { decodeEntities } from '../../lib/entities.ts';
import { firstHeadingDepth, type MarkdownBlock, MarkdownBlocks } from '../../lib/markdown-blocks.ts';
import { CodeBlock } from './code-block.tsx';
import styles from './markdown.module.css';
import { safeLink } from './messages.ts';

export interface MarkdownActions {
  openLink: (href: string) => void;
  copy: (text: string) => void;
  /** Null while no file is open. */
  insert: ((text: string) => void) | null;
  /** Shows what the code would change in the file it is for. @param label the words after the fence */
  apply: ((code: string, label: string) => void) | null;
}

interface MarkdownProps {
  text: string;
  actions: MarkdownActions;
}

export function Markdown({ text, actions }: MarkdownProps) {
  const parser = useRef<MarkdownBlocks>(null);
  parser.current ??= new MarkdownBlocks();
  const parsed = parser.current.update(text);
  const topDepth = firstHeadingDepth(parsed);
  return (
    <div className={styles.markdown}>
      {parsed.map((block) => (
        <Block key={block.start} block={block} topDepth={topDepth} actions={actions} />
      ))}
    </div>
  );
}

interface BlockProps {
  block: MarkdownBlock;
  topDepth: number;
  actions: MarkdownActions;
}

const Block = memo(function Block({ block, topDepth, actions }: BlockProps) {
  return <>{blocks(block.tokens, topDepth, actions)}</>;
});

/** @param topDepth of the reply's first heading */
function blocks(tokens: readonly Token[], topDepth: number, actions: MarkdownActions): ReactNode[] {
  return tokens.map((token, i) => {
    const key = `${i}`;
    switch (token.type) {
      case 'heading': {
        // The window has its own h1 and h2, so a reply starts at h3, however deep its own first one is.
        const level = 3 + (token as Tokens.Heading).depth - topDepth;
        const Heading = `h${Math.max(3, Math.min(6, level))}` as 'h3';
        return <Heading key={key}>{inline(token.tokens, actions)}</Heading>;
      }
      case 'paragraph':
        return <p key={key}>{inline(token.tokens, actions)}</p>;
      case 'text':
        return <span key={key}>{token.tokens ? inline(token.tokens, actions) : decodeEntities(token.text)}</span>;
      case 'code':
        return <CodeBlock key={key} code={token.text} label={(token as Tokens.Code).lang ?? ''} actions={actions} />;
      case 'blockquote':
        return <blockquote key={key}>{blocks(token.tokens ?? [], topDepth, actions)}</blockquote>;
      case 'list':
        return <List key={key} list={token as Tokens.List} topDepth={topDepth} actions={actions} />;
      case 'table':
        return <Table key={key} table={token as Tokens.Table} actions={actions} />;
      case 'hr':
        return <hr key={key} />;
      case 'html':
        return <p key={key}>{token.text}</p>;
      default:
        return null; // blank lines and link definitions
    }
  });
}

function List({ list, topDepth, actions }: { list: Tokens.List; topDepth: number; actions: MarkdownActions }) {
  const items = list.items.map((item, i) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: items have no identity besides their place
    <li key={i} className={item.task ? styles.task : undefined}>
      {item.task ? (
        <input type="checkbox" checked={item.checked ?? false} disabled aria-label={item.checked ? 'done' : 'open'} />
      ) : null}
      {blocks(
        item.tokens.filter((token) => token.type !== 'checkbox'),
        topDepth,
        actions,
      )}
    </li>
  ));
  return list.ordered ? <ol start={list.start === '' ? 1 : list.start}>{items}</ol> : <ul>{items}</ul>;
}

function Table({ table, actions }: { table: Tokens.Table; actions: MarkdownActions }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide table scrolls, also by keyboard
    <section className={styles.tableScroll} aria-label="Table" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {table.header.map((cell, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: columns have no identity besides their place
              <th key={i} style={{ textAlign: cell.align ?? 'left' }}>
                {inline(cell.tokens, actions)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows have no identity besides their place
            <tr key={i}>
              {row.map((cell, j) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: cells have no identity besides their place
                <td key={j} style={{ textAlign: cell.align ?? 'left' }}>
                  {inline(cell.tokens, actions)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function inline(tokens: readonly Token[] | undefined, actions: MarkdownActions): ReactNode[] {
  return (tokens ?? []).map((token, i) => {
    const key = `${i}`;
    switch (token.type) {
      case 'strong':
        return <strong key={key}>{inline(token.tokens, actions)}</strong>;
      case 'em':
        return <em key={key}>{inline(token.tokens, actions)}</em>;
      case 'del':
        return <del key={key}>{inline(token.tokens, actions)}</del>;
      case 'codespan':
        return <code key={key}>{token.text}</code>;
      case 'br':
        return <br key={key} />;
      case 'link':
        return (
          <Link key={key} href={token.href} actions={actions}>
            {inline(token.tokens, actions)}
          </Link>
        );
      case 'image':
        return (
          <Link key={key} href={token.href} actions={actions}>
            [image: {token.text || 'no description'}]
          </Link>
        );
      case 'html':
        return /^<br\s*\/?>$/i.test(token.raw) ? <br key={key} /> : <span key={key}>{token.raw}</span>;
      case 'text':
        return <span key={key}>{token.tokens ? inline(token.tokens, actions) : decodeEntities(token.text)}</span>;
      default:
        return <span key={key}>{'text' in token ? decodeEntities(String(token.text)) : token.raw}</span>;
    }
  });
}

function Link({ href, actions, children }: { href: string; actions: MarkdownActions; children: ReactNode }) {
  const target = safeLink(href);
  if (target === null) return <span title={href}>{children}</span>;
  return (
    <a
      href={target}
      title={target}
      onClick={(event) => {
        event.preventDefault();
        actions.openLink(target);
      }}
      onAuxClick={(event) => event.preventDefault()}
    >
      {children}
    </a>
  );
}
