// What we use of the packages in package.json. Their own types are there only where they are installed;
// scripts/tsconfig.json points here, so that the check gives the same result everywhere.

export function countTokens(text: string, options: { disallowedSpecial: Set<string> }): number;

export function fromPreTrained(): { encode(text: string, options: { add_special_tokens: boolean }): number[] };
