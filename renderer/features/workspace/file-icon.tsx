// A small icon by kind of file. Few kinds on purpose: a hint for the eye, not a logo collection.
import {
  Braces,
  File,
  FileCode2,
  FileCog,
  FileImage,
  FileLock2,
  FileTerminal,
  FileText,
  Folder,
  FolderOpen,
  Hash,
} from 'lucide-react';
import { baseName, extensionOf } from '../../lib/paths.ts';
import styles from './file-icon.module.css';

type IconKind = 'code' | 'data' | 'text' | 'style' | 'image' | 'shell' | 'config' | 'lock' | 'other';

const kIcons = {
  code: FileCode2,
  data: Braces,
  text: FileText,
  style: Hash,
  image: FileImage,
  shell: FileTerminal,
  config: FileCog,
  lock: FileLock2,
  other: File,
};

const kExtensions: Record<Exclude<IconKind, 'other'>, string> = {
  code: 'ts tsx js jsx mjs cjs py rs go c cc cpp cxx h hpp cu metal java kt swift rb php cs scala lua zig dart r jl ml hs ex exs clj vue svelte html htm xml sql',
  data: 'json jsonc json5 jsonl csv tsv',
  text: 'md mdx markdown txt rst adoc tex log',
  style: 'css scss sass less',
  image: 'png jpg jpeg gif svg webp ico bmp avif',
  shell: 'sh bash zsh fish ps1 bat cmd',
  config: 'yaml yml toml ini cfg conf env properties cmake gradle',
  lock: 'lock',
};

const byExtension = new Map<string, IconKind>(
  Object.entries(kExtensions).flatMap(([kind, list]) =>
    list.split(' ').map((extension): [string, IconKind] => [extension, kind as IconKind]),
  ),
);

function kindOf(path: string): IconKind {
  const name = baseName(path).toLowerCase();
  if (name === 'package-lock.json' || name.endsWith('.lock')) return 'lock';
  if (name === 'makefile' || name === 'dockerfile' || name === 'cmakelists.txt' || name.startsWith('.'))
    return 'config';
  return byExtension.get(extensionOf(path)) ?? 'other';
}

export function FileIcon({ path }: { path: string }) {
  const kind = kindOf(path);
  const Icon = kIcons[kind];
  return <Icon size={15} strokeWidth={1.75} className={`${styles.icon} ${styles[kind]}`} aria-hidden />;
}

export function FolderIcon({ isOpen }: { isOpen: boolean }) {
  const Icon = isOpen ? FolderOpen : Folder;
  return <Icon size={15} strokeWidth={1.75} className={styles.icon} aria-hidden />;
}
