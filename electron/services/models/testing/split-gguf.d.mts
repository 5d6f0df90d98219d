export function splitModel(file: Buffer, count: number): Buffer[];
