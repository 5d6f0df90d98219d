// Where a file that was dropped into the window is. Only the preload script can say; without it nowhere.

interface FilePaths {
  pathOf: (file: File) => string;
}

export function pathOfFile(file: File): string {
  return (window as { outpostFiles?: FilePaths }).outpostFiles?.pathOf(file) ?? '';
}
