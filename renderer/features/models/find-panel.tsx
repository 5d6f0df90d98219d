// Models that can be had: the curated ones, and what the hub finds.
import { ArrowLeft, Download, LockKeyhole, Search, WifiOff } from 'lucide-react';
import { type FormEvent, useState } from 'react';
import { useStore } from 'zustand';
import type { HubModel } from '../../../electron/common/model-contract.ts';
import { formatBytes, formatCompact } from '../../lib/format.ts';
import { Button, IconButton } from '../../ui/button.tsx';
import { EmptyState } from '../../ui/empty-state.tsx';
import { Notice } from '../../ui/notice.tsx';
import { Spinner } from '../../ui/progress.tsx';
import styles from './find-panel.module.css';
import type { LibraryStore } from './library-store.ts';
import { RepoFiles } from './repo-files.tsx';
import { TokenButton, TokenField } from './token-field.tsx';

interface FindPanelProps {
  models: LibraryStore;
  isNetworkOff: boolean;
  onOpenConnections: () => void;
}

export function FindPanel({ models, isNetworkOff, onOpenConnections }: FindPanelProps) {
  const library = useStore(models.store, (state) => state.library);
  const hub = useStore(models.store, (state) => state.hub);
  const repo = useStore(models.store, (state) => state.repo);
  const [text, setText] = useState(() => models.store.getState().query);
  const isRemote = /^https?:/.test(library?.hub.url ?? 'https:');
  const search = (event: FormEvent) => {
    event.preventDefault();
    void models.search(text.trim());
  };
  return (
    <div className={styles.panel}>
      <search>
        <form className={styles.search} onSubmit={search}>
          <input
            type="search"
            aria-label="Search for models"
            placeholder={`Search ${library ? hubName(library.hub.url) : 'for models'}`}
            className={styles.input}
            value={text}
            maxLength={200}
            onChange={(event) => setText(event.target.value)}
          />
          <Button kind="primary" type="submit">
            <Search size={14} aria-hidden />
            Search
          </Button>
          {isRemote ? <TokenField models={models} hasToken={library?.hub.hasToken ?? false} /> : null}
        </form>
      </search>
      {isNetworkOff && isRemote ? (
        <EmptyState
          icon={<WifiOff size={26} strokeWidth={1.5} aria-hidden />}
          title="The network is switched off"
          text="Models on this machine work as always. To search or download, switch it on, or take a folder as the hub."
        >
          <Button onClick={onOpenConnections}>Show Connections</Button>
        </EmptyState>
      ) : repo !== null ? (
        <div className={styles.repo}>
          <div className={styles.repoHead}>
            <IconButton label="Back to the results" onClick={() => void models.openRepo(null)}>
              <ArrowLeft size={16} aria-hidden />
            </IconButton>
            <h3>{repo}</h3>
          </div>
          <RepoFiles models={models} />
        </div>
      ) : (
        <div className={styles.results}>
          {hub.step === 'idle' ? <Catalog models={models} /> : null}
          {hub.step === 'searching' ? <EmptyState icon={<Spinner size={22} />} title="Searching" /> : null}
          {hub.step === 'failed' ? (
            <div role="alert">
              <Notice
                kind="error"
                message={hub.error.message}
                hint={hub.error.hint}
                detail={hub.error.detail}
                actions={
                  <>
                    <Button onClick={() => void models.search(text.trim())}>Try Again</Button>
                    <TokenButton models={models} error={hub.error} />
                  </>
                }
              />
            </div>
          ) : null}
          {hub.step === 'found' ? <Results models={models} found={hub.models} /> : null}
        </div>
      )}
    </div>
  );
}

function Results({ models, found }: { models: LibraryStore; found: readonly HubModel[] }) {
  if (found.length === 0)
    return <EmptyState title="Nothing was found" text="Try fewer or other words, or none for what is recommended." />;
  return (
    <ul aria-label="Found on the hub" className={styles.list}>
      {found.map(({ repo, nDownloads, license, isGated }) => (
        <li key={repo}>
          <button type="button" className={styles.item} onClick={() => void models.openRepo(repo)}>
            <span className={styles.name}>
              {repo}
              {isGated ? <LockKeyhole size={13} role="img" aria-label="Only for those who accept its terms" /> : null}
            </span>
            <span className={styles.about}>
              {[nDownloads > 0 ? `${formatCompact(nDownloads)} downloads` : null, license].filter(Boolean).join(' · ')}
            </span>
          </button>
        </li>
      ))}
    </ul>
  );
}

const roleNames = { chat: 'chat', inline: 'completion', draft: 'drafts', embedding: 'search by meaning' };

function Catalog({ models }: { models: LibraryStore }) {
  const catalog = useStore(models.store, (state) => state.library?.catalog) ?? [];
  const downloads = useStore(models.store, (state) => state.library?.downloads) ?? [];
  return (
    <section aria-label="Recommended">
      <h3 className={styles.heading}>Recommended</h3>
      <ul className={styles.list}>
        {catalog.map(({ id, name, about, license, bytes, roles, draft, isHere }) => (
          <li key={id} className={styles.card}>
            <div>
              <span className={styles.name}>{name}</span>
              <p className={styles.text}>{about}</p>
              <span className={styles.about}>
                {formatBytes(bytes)} · {license} · for {roles.map((role) => roleNames[role]).join(' and ')}
                {draft === null ? '' : ` · ${draft} drafts for it`}
              </span>
            </div>
            {isHere ? (
              <span className={styles.about}>Already here</span>
            ) : downloads.some(({ title }) => title === name) ? (
              <span className={styles.about}>On its way</span>
            ) : (
              <Button
                aria-label={`Download ${name}`}
                onClick={() => void models.run((app) => app.downloadFromCatalog({ id }))}
              >
                <Download size={14} aria-hidden />
                Download
              </Button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function hubName(url: string): string {
  return URL.canParse(url) && /^https?:/.test(url) ? new URL(url).host : url;
}
