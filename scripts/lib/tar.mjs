// Reads one file out of a tar archive while it streams by. (POSIX ustar; npm writes nothing else for short names.)
import { Transform } from 'node:stream';

const blockBytes = 512;

/**
 * Passes on the bytes of one entry and drops everything else; fails if the archive ends before the entry does.
 * @param {string} entry the file's name in the archive
 */
export function extractEntry(entry) {
  let header = Buffer.alloc(0);
  let isWanted = false;
  let isFound = false;
  let contentLeft = 0; // bytes of the current file
  let paddingLeft = 0; // up to the next block

  return new Transform({
    transform(/** @type {Buffer} */ chunk, _encoding, done) {
      for (let at = 0; at < chunk.length; ) {
        if (contentLeft > 0) {
          const part = chunk.subarray(at, at + contentLeft);
          if (isWanted) this.push(part);
          contentLeft -= part.length;
          at += part.length;
        } else if (paddingLeft > 0) {
          const n = Math.min(paddingLeft, chunk.length - at);
          paddingLeft -= n;
          at += n;
        } else {
          const n = Math.min(blockBytes - header.length, chunk.length - at);
          header = Buffer.concat([header, chunk.subarray(at, at + n)]);
          at += n;
          if (header.length < blockBytes) continue;
          const [name] = header.toString('utf8', 0, 100).split('\0');
          contentLeft = Number.parseInt(header.toString('latin1', 124, 136), 8) || 0;
          paddingLeft = (blockBytes - (contentLeft % blockBytes)) % blockBytes;
          isWanted = name === entry;
          isFound ||= isWanted;
          header = Buffer.alloc(0);
        }
      }
      done();
    },
    flush(done) {
      if (!isFound) done(new Error(`the archive holds no ${entry}`));
      else done(isWanted && contentLeft > 0 ? new Error(`the archive ends inside ${entry}`) : null);
    },
  });
}
