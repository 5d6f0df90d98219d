// Monaco's side of the three themes. The colours repeat renderer/app/theme/*.css, because Monaco wants literal
// values; every syntax colour has a contrast of at least 4.5:1 on its background. Nothing is inherited: Monaco numbers
// the colours of a theme in the order of its rules, and code that is on the screen keeps its numbers in another theme
// only if all themes have the same rules.
import type { editor } from 'monaco-editor';

type Palette = Record<
  | 'background'
  | 'foreground'
  | 'comment'
  | 'keyword'
  | 'string'
  | 'number'
  | 'type'
  | 'name'
  | 'tag'
  | 'attribute'
  | 'invalid'
  | 'lineNumber'
  | 'lineNumberActive'
  | 'selection'
  | 'line'
  | 'border'
  | 'raised'
  | 'accent'
  | 'muted'
  | 'guide',
  string
>;

const light: Palette = {
  background: '#ffffff',
  foreground: '#24292f',
  comment: '#5f6872',
  keyword: '#8a3ab9',
  string: '#0a6e4a',
  number: '#9a4a00',
  type: '#0b6a8f',
  name: '#24292f',
  tag: '#a8323e',
  attribute: '#7a5200',
  invalid: '#b3261e',
  lineNumber: '#8c949e',
  lineNumberActive: '#3d444d',
  selection: '#bfe3dc',
  line: '#f5f7f7',
  border: '#dfe3e6',
  raised: '#ffffff',
  accent: '#0b7568',
  muted: '#5b636d',
  guide: '#e6e9eb',
};

const dark: Palette = {
  background: '#16191d',
  foreground: '#d5dae0',
  comment: '#7f8995',
  keyword: '#c49be8',
  string: '#8fcf9f',
  number: '#e5b07b',
  type: '#74c3e0',
  name: '#d5dae0',
  tag: '#ef8a92',
  attribute: '#dcbd7a',
  invalid: '#ff8f87',
  lineNumber: '#626b76',
  lineNumberActive: '#b6bec8',
  selection: '#23504a',
  line: '#1b1f24',
  border: '#2b3138',
  raised: '#20252b',
  accent: '#5ccab6',
  muted: '#98a2ad',
  guide: '#272c33',
};

/** Black, white and colours of at least 7:1. */
const contrast: Palette = {
  background: '#000000',
  foreground: '#ffffff',
  comment: '#b8c4b8',
  keyword: '#d9b3ff',
  string: '#a6f0b0',
  number: '#ffcf8f',
  type: '#8fdcff',
  name: '#ffffff',
  tag: '#ffa8ae',
  attribute: '#ffe08a',
  invalid: '#ff9b94',
  lineNumber: '#c8c8c8',
  lineNumberActive: '#ffffff',
  selection: '#0b5f8a',
  line: '#000000',
  border: '#ffffff',
  raised: '#000000',
  accent: '#ffd700',
  muted: '#e0e0e0',
  guide: '#6a6a6a',
};

function rules(p: Palette): editor.ITokenThemeRule[] {
  const rule = (token: string, color: string, fontStyle?: string): editor.ITokenThemeRule => ({
    token,
    foreground: color.slice(1),
    ...(fontStyle === undefined ? {} : { fontStyle }),
  });
  return [
    rule('', p.foreground),
    rule('comment', p.comment, 'italic'),
    rule('keyword', p.keyword),
    rule('keyword.json', p.keyword),
    rule('string', p.string),
    rule('string.escape', p.number),
    rule('string.key.json', p.type),
    rule('string.value.json', p.string),
    rule('regexp', p.number),
    rule('number', p.number),
    rule('constant', p.number),
    rule('type', p.type),
    rule('type.identifier', p.type),
    rule('predefined', p.type),
    rule('namespace', p.type),
    rule('annotation', p.attribute),
    rule('identifier', p.name),
    rule('variable', p.name),
    rule('tag', p.tag),
    rule('metatag', p.tag),
    rule('attribute.name', p.attribute),
    rule('attribute.value', p.string),
    rule('delimiter', p.muted),
    rule('strong', p.foreground, 'bold'),
    rule('emphasis', p.foreground, 'italic'),
    rule('invalid', p.invalid),
  ];
}

function theme(base: 'vs' | 'vs-dark' | 'hc-black', p: Palette): editor.IStandaloneThemeData {
  return {
    base,
    inherit: false,
    rules: rules(p),
    colors: {
      'editor.background': p.background,
      'editor.foreground': p.foreground,
      'editorLineNumber.foreground': p.lineNumber,
      'editorLineNumber.activeForeground': p.lineNumberActive,
      'editor.selectionBackground': p.selection,
      'editor.inactiveSelectionBackground': `${p.selection}99`,
      'editor.lineHighlightBackground': p.line,
      'editor.lineHighlightBorder': '#00000000',
      'editorCursor.foreground': p.accent,
      'editorGhostText.foreground': p.comment,
      ...nextEditColors(p),
      'editorIndentGuide.background1': p.guide,
      'editorIndentGuide.activeBackground1': p.border,
      'editorBracketMatch.background': `${p.accent}22`,
      'editorBracketMatch.border': `${p.accent}88`,
      'editorWidget.background': p.raised,
      'editorWidget.border': p.border,
      'editorSuggestWidget.selectedBackground': `${p.accent}26`,
      'editorSuggestWidget.highlightForeground': p.accent,
      'editorHoverWidget.background': p.raised,
      'editorHoverWidget.border': p.border,
      'editorStickyScroll.shadow': '#00000000',
      'editorStickyScroll.border': p.border,
      'scrollbar.shadow': '#00000000',
      'scrollbarSlider.background': `${p.muted}33`,
      'scrollbarSlider.hoverBackground': `${p.muted}55`,
      'scrollbarSlider.activeBackground': `${p.muted}77`,
      'editorOverviewRuler.border': '#00000000',
      'input.background': p.background,
      'input.border': p.border,
      focusBorder: p.accent,
      'list.hoverBackground': `${p.muted}1a`,
      'list.activeSelectionBackground': `${p.accent}26`,
      'list.activeSelectionForeground': p.foreground,
      'menu.background': p.raised,
      'menu.foreground': p.foreground,
      'menu.selectionBackground': `${p.accent}26`,
      'menu.selectionForeground': p.foreground,
      'menu.border': p.border,
      'diffEditor.insertedTextBackground': `${p.string}30`,
      'diffEditor.removedTextBackground': `${p.tag}30`,
    },
  };
}

/** The mark in the gutter beside a proposed edit. Primary: Tab goes there; secondary: not now; successful: Tab takes it. */
function nextEditColors(p: Palette): editor.IColors {
  const marks = ['primary', 'secondary', 'successful'].flatMap((state) => {
    const isStrong = state !== 'secondary';
    return [
      [`inlineEdit.gutterIndicator.${state}Background`, isStrong ? p.accent : p.raised],
      [`inlineEdit.gutterIndicator.${state}Border`, isStrong ? p.accent : p.border],
      [`inlineEdit.gutterIndicator.${state}Foreground`, isStrong ? p.background : p.muted],
    ];
  });
  return { ...Object.fromEntries(marks), 'inlineEdit.gutterIndicator.background': '#00000000' };
}

export const lightTheme = theme('vs', light);
export const darkTheme = theme('vs-dark', dark);
export const contrastTheme = theme('hc-black', contrast);
