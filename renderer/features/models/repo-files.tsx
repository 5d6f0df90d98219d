// The files of a repository: how large they are, and whether they would fit here. That is found out from their heads,
// before anything is downloaded.
import { Download } from 'lucide-react';
import { useStore } from 'zustand';
import type { HubFile } from '../../../electron/common/model-contract.ts';
import { formatBytes } from '../../lib/format.ts';
import { Button } from '../../ui/button.tsx';
import { EmptyState } from '../../ui/empty-state.tsx';
import { Notice } from '../../ui/notice.tsx';
import { Spinner } from '../../ui/progress.tsx';
import { FitView } from './fit-view.tsx';
import type { LibraryStore } from './library-store.ts';
import styles from './repo-files.module.css';
import { TokenButton } from './token-field.tsx';

export function RepoFiles({ models }: { models: LibraryStore }) {
  const files = useStore(models.store, (state) => state.files);
  const repo = useStore(models.store, (state) => state.repo);
  if (files === null || files.step === 'loading')
    return <EmptyState icon={<Spinner size={22} />} title="Looking at its files" />;
  if (files.step === 'failed') {
    return (
      <div role="alert">
        <Notice
          kind="error"
          message={files.error.message}
          hint={files.error.hint}
          detail={files.error.detail}
          actions={
            <>
              <Button onClick={() => void models.openRepo(repo)}>Try Again</Button>
              <TokenButton models={models} error={files.error} />
            </>
          }
        />
      </div>
    );
  }
  if (files.files.length === 0) {
    return <EmptyState title="No GGUF files" text="This repository holds models in other formats." />;
  }
  return (
    <ul aria-label="Files of the repository" className={styles.list}>
      {files.files.map((file) => (
        <li key={file.path} aria-label={file.path}>
          <Row models={models} file={file} />
        </li>
      ))}
    </ul>
  );
}

function Row({ models, file }: { models: LibraryStore; file: HubFile }) {
  const facts = useStore(models.store, (state) => state.facts[file.path]);
  const library = useStore(models.store, (state) => state.library);
  const { path, bytes, parts, isHere } = file;
  return (
    <div className={styles.file}>
      <div className={styles.row}>
        <div className={styles.name}>
          {path}
          <span className={styles.about}>
            {formatBytes(bytes)}
            {parts.length > 1 ? ` in ${parts.length} parts` : ''}
            {parts.every(({ sha256 }) => sha256 !== null) ? '' : ' · the hub gives no hash to check it by'}
          </span>
        </div>
        <Button
          aria-busy={facts?.step === 'reading'}
          onClick={() => void models.readFacts(path)}
          aria-label={`Will It Fit? ${path}`}
        >
          {facts?.step === 'reading' ? <Spinner /> : null}
          Will It Fit?
        </Button>
        {isHere ? (
          <span className={styles.about}>Already here</span>
        ) : library?.downloads.some(({ title }) => title === titleOf(path)) ? (
          <span className={styles.about}>On its way</span>
        ) : (
          <Button kind="primary" onClick={() => void models.download(path)} aria-label={`Download ${path}`}>
            <Download size={14} aria-hidden />
            Download
          </Button>
        )}
      </div>
      {facts?.step === 'failed' ? (
        <div role="alert">
          <Notice
            kind="error"
            message={facts.error.message}
            hint={facts.error.hint}
            detail={facts.error.detail}
            actions={<TokenButton models={models} error={facts.error} />}
          />
        </div>
      ) : null}
      {facts?.step === 'read' && library ? (
        <FitView models={models} facts={facts.facts} library={library} diskBytes={bytes} />
      ) : null}
    </div>
  );
}

/** What its download is called. */
function titleOf(path: string): string {
  return (path.split('/').at(-1) ?? path).replace(/\.gguf$/i, '');
}
