// A model with everything that is made for it: its engine with a KV cache, and its chat template.
import { totalmem } from 'node:os';
import { basename } from 'node:path';
import type { ModelInfo } from '../common/engine-contract.ts';
import { contextOf, nContexts } from '../common/model-facts.ts';
import { type ChatTemplate, createChatTemplate } from './chat-template.ts';
import { type FimFormat, fimFormat } from './completion-formats.ts';
import type { NativeEngine, NativeModel } from './native.d.ts';

export interface Loaded {
  model: NativeModel;
  engine: NativeEngine;
  chat: ChatTemplate;
  fim: FimFormat | null;
  nCtx: number;
  /** Guesses ahead for it. */
  draft: NativeModel | null;
}

interface PrepareOptions {
  /** 0: what the model was trained for, if there is memory. */
  nCtx: number;
  /** In place of the file's own. */
  chatTemplate: string | null;
  draft: NativeModel | null;
}

/** @throws what the template or the engine refuses */
export function prepareModel(model: NativeModel, { nCtx: wanted, chatTemplate, draft }: PrepareOptions): Loaded {
  const { info } = model;
  const nCtx = contextOf(info.nCtxTrain, info.kvBytesPerToken, wanted, totalmem());
  const chat = createChatTemplate(chatTemplate === null ? info : { ...info, chatTemplate });
  const engine = model.createEngine({
    nCtx,
    kvBytes: nContexts * nCtx * info.kvBytesPerToken,
    ...(draft === null ? {} : { draftModel: draft }),
  });
  return { model, engine, chat, fim: fimFormat(model), nCtx, draft };
}

export function toModelInfo({ model, chat, nCtx }: Loaded, givenName: string | null, loadMs: number): ModelInfo {
  const { path, architecture, fileType, fileBytes, weightBytes, nParams, nCtxTrain, nVocab, nLayer } = model.info;
  const { kvBytesPerToken, hasFim, chatTemplate, backend } = model.info;
  const name = givenName ?? (model.info.name.trim() || basename(path));
  const sizes = { fileBytes, weightBytes, nParams, nCtxTrain, nCtx, nVocab, nLayer, kvBytesPerToken };
  return {
    path,
    name,
    architecture,
    fileType,
    ...sizes,
    hasFim,
    hasChatTemplate: chatTemplate !== '',
    chatFeatures: chat.features,
    backend,
    loadMs,
  };
}
