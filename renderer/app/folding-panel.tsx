// A panel at the side that folds away by command or by dragging.
import { type ReactNode, useEffect, useRef } from 'react';
import { Panel, type PanelImperativeHandle } from 'react-resizable-panels';

interface FoldingPanelProps {
  id: string;
  defaultPx: number;
  minPx: number;
  isShown: boolean;
  onShown: (isShown: boolean) => void;
  children: ReactNode;
}

export function FoldingPanel({ id, defaultPx, minPx, isShown, onShown, children }: FoldingPanelProps) {
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
