// A list of rows of one height that draws only the visible ones. The caller owns focus and selection; this keeps
// the active row in view.
import { type ReactNode, useEffect, useRef, useState } from 'react';

interface VirtualListProps<T> {
  items: readonly T[];
  rowHeight: number;
  /** Kept in view when it changes; -1 for none. */
  activeIndex: number;
  className?: string | undefined;
  /** For a list without an active row: its name, and the keyboard scrolls it. */
  label?: string;
  renderRow: (item: T, index: number) => ReactNode;
}

/** Rows drawn above and below the visible part, so that a fast scroll shows no gap. */
const kOverscan = 8;

export function VirtualList<T>({ items, rowHeight, activeIndex, className, label, renderRow }: VirtualListProps<T>) {
  const host = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener('scroll', measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', measure);
    };
  }, []);

  useEffect(() => {
    const element = host.current;
    if (!element || activeIndex < 0) return;
    const top = activeIndex * rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + element.clientHeight)
      element.scrollTop = top + rowHeight - element.clientHeight;
  }, [activeIndex, rowHeight]);

  const first = Math.max(0, Math.floor(view.top / rowHeight) - kOverscan);
  const last = Math.min(items.length, Math.ceil((view.top + view.height) / rowHeight) + kOverscan);
  return (
    <div
      ref={host}
      {...(label === undefined ? { role: 'presentation' } : { role: 'region', 'aria-label': label, tabIndex: 0 })}
      className={className}
      style={{ overflow: 'auto' }}
    >
      <div role="presentation" style={{ height: items.length * rowHeight, position: 'relative' }}>
        <div role="presentation" style={{ position: 'absolute', top: first * rowHeight, left: 0, right: 0 }}>
          {items.slice(first, last).map((item, i) => renderRow(item, first + i))}
        </div>
      </div>
    </div>
  );
}
