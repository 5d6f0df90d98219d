// Which model has which role: what the open folder says, else what the user chose for everything, else what comes with
// the app. A choice stays even if its file is away for a while.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { type ModelRole, modelIdSchema, modelRoleSchema, modelRoles } from '../../common/role-contract.ts';
import { asDiskError } from './disk-errors.ts';

/** `null` is a choice, too: no model of its own. */
const choicesSchema = z.partialRecord(modelRoleSchema, modelIdSchema.nullable());
type Choices = z.infer<typeof choicesSchema>;
const storedSchema = z.object({ everywhere: choicesSchema, folders: z.record(z.string(), choicesSchema) });

export type Roles = Record<ModelRole, string | null>;

export class RoleChoices {
  readonly #path: string;
  #stored: z.infer<typeof storedSchema>;

  constructor(path: string) {
    this.#path = path;
    try {
      this.#stored = storedSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
    } catch {
      this.#stored = { everywhere: {}, folders: {} };
    }
  }

  /** @param otherwise what a role has if nobody chose */
  resolve(root: string | null, otherwise: Roles): Roles {
    const folder = this.#folder(root);
    const { everywhere } = this.#stored;
    const choose = (role: ModelRole) => {
      if (folder[role] !== undefined) return folder[role];
      return everywhere[role] !== undefined ? everywhere[role] : otherwise[role];
    };
    return Object.fromEntries(modelRoles.map((role) => [role, choose(role)])) as Roles;
  }

  ofFolder(root: string | null): ModelRole[] {
    const folder = this.#folder(root);
    return modelRoles.filter((role) => folder[role] !== undefined);
  }

  /** @param id undefined takes the choice back. @throws IO_ERROR, and nothing has changed */
  set(role: ModelRole, id: string | null | undefined, root: string | null): void {
    const without = (choices: Choices): Choices =>
      Object.fromEntries(Object.entries(choices).filter(([name]) => name !== role));
    const changed = (choices: Choices) => (id === undefined ? without(choices) : { ...choices, [role]: id });
    const { everywhere, folders } = this.#stored;
    this.#write(
      root === null
        ? { everywhere: changed(everywhere), folders }
        : { everywhere, folders: { ...folders, [root]: changed(folders[root] ?? {}) } },
    );
  }

  /** A model has another id, or none any more. */
  replace(id: string, by: string | undefined): void {
    const replaced = (choices: Choices): Choices =>
      Object.fromEntries(
        Object.entries(choices).flatMap(([role, chosen]) =>
          chosen !== id ? [[role, chosen]] : by ? [[role, by]] : [],
        ),
      );
    const { everywhere, folders } = this.#stored;
    const entries = Object.entries(folders).map(([root, choices]) => [root, replaced(choices)] as const);
    this.#write({ everywhere: replaced(everywhere), folders: Object.fromEntries(entries) });
  }

  #folder(root: string | null): Choices {
    return root === null ? {} : (this.#stored.folders[root] ?? {});
  }

  #write(stored: z.infer<typeof storedSchema>): void {
    try {
      writeFileSync(`${this.#path}.new`, `${JSON.stringify(stored, null, 2)}\n`);
      renameSync(`${this.#path}.new`, this.#path);
    } catch (error) {
      throw asDiskError(error, this.#path);
    }
    this.#stored = stored;
  }
}
