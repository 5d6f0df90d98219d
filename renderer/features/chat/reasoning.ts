// What a model thinks before it answers, which it marks in its reply. Shown folded, sent back apart from the answer, and
// not read out.

/** The marks of the families that think: Qwen, DeepSeek, GLM and others; those that follow Claude; Mistral. */
const kMarks = [
  ['<think>', '</think>'],
  ['<thinking>', '</thinking>'],
  ['[THINK]', '[/THINK]'],
] as const;

/**
 * gpt-oss names its channels between control tokens, which leave no text: "analysisWe need …assistantfinalThe answer". A
 * thought never starts with a space or a small letter, as a sentence about an analysis goes on.
 */
const kChannels = /^analysis(?![\s\p{Ll}])(.*?)(?:assistantfinal(.*))?$/su;

export interface SplitReply {
  /** Empty if there is none. */
  reasoning: string;
  answer: string;
  /** The answer has not begun. */
  isThinking: boolean;
}

export function splitReasoning(content: string): SplitReply {
  const text = content.trimStart();
  for (const [open, close] of kMarks) {
    if (text.startsWith(open)) {
      const end = text.indexOf(close);
      if (end < 0) return { reasoning: text.slice(open.length).trim(), answer: '', isThinking: true };
      return split(text.slice(open.length, end), text.slice(end + close.length));
    }
    // The first mark is on its way.
    if (text !== '' && open.startsWith(text)) return { reasoning: '', answer: '', isThinking: true };
    // Some templates begin the thought themselves, so that the reply only ends it.
    const end = endOnItsOwnLine(content, close);
    if (end >= 0) return split(content.slice(0, end), content.slice(end + close.length));
  }
  const [channels, thought = '', answer] = kChannels.exec(text) ?? [];
  if (channels === undefined || thought === '') return { reasoning: '', answer: content, isThinking: false };
  return answer === undefined ? { reasoning: thought.trim(), answer: '', isThinking: true } : split(thought, answer);
}

function split(reasoning: string, answer: string): SplitReply {
  return { reasoning: reasoning.trim(), answer: answer.trimStart(), isThinking: false };
}

/** Where the mark stands alone, outside of code: an answer may talk about it. -1 if nowhere. */
function endOnItsOwnLine(content: string, close: string): number {
  let start = 0;
  let isInCode = false;
  for (const line of content.split('\n')) {
    if (line.trimStart().startsWith('```')) isInCode = !isInCode;
    else if (!isInCode && line.trim() === close) return start + line.indexOf(close);
    start += line.length + 1;
  }
  return -1;
}
