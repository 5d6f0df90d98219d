// What is wrong with a tag that does not belong where it stands.
import { syntaxError } from './errors.ts';
import { describePattern, type Pattern } from './token-stream.ts';

/**
 * @param tag null at the end of the template
 * @param endings tags that would end the open blocks, the innermost last
 */
export function misplaced(
  what: string,
  tag: string | null,
  endings: readonly Pattern[][],
  openTags: readonly string[],
  line: number,
) {
  const message = [what];
  const wanted = endings
    .at(-1)
    ?.map((pattern) => `'${describePattern(pattern)}'`)
    .join(' or ');
  if (wanted) {
    const isExpected = tag !== null && endings.flat().some((pattern) => describePattern(pattern) === tag);
    message.push(
      isExpected
        ? `You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for ${wanted}.`
        : `Jinja was looking for the following tags: ${wanted}.`,
    );
  }
  const innermost = openTags.at(-1);
  if (innermost) message.push(`The innermost block that needs to be closed is '${innermost}'.`);
  return syntaxError(message.join(' '), line);
}
