// What we use of node-llama-cpp. Its own types are there only where the peer is installed; scripts/tsconfig.json
// points here, so that the check gives the same result everywhere.

export type Token = number & { readonly __token: unique symbol };

export interface ControlledEvaluateOutput {
  next: { probabilities?: Map<Token, number>; logits?: Map<Token, number> };
}

export interface LlamaContextSequence {
  clearHistory(): Promise<void>;
  controlledEvaluate(
    input: (Token | [Token, { generateNext: { probabilities: boolean } | { logits: boolean } }])[],
  ): Promise<(ControlledEvaluateOutput | undefined)[]>;
  evaluate(
    tokens: Token[],
    options: { temperature: number; yieldEogToken: boolean },
  ): AsyncGenerator<Token, void, void>;
  evaluateWithoutGeneratingNewTokens(tokens: Token[]): Promise<void>;
}

export interface LlamaContext {
  getSequence(): LlamaContextSequence;
  dispose(): Promise<void>;
}

export interface LlamaModel {
  readonly tokens: { readonly bos: Token | null };
  tokenize(text: string, specialTokens: boolean): Token[];
  createContext(options: {
    contextSize: number;
    batchSize: number;
    flashAttention: boolean;
    sequences: number;
    threads: number;
    experimentalKvCacheKeyType?: 'F16' | 'F32' | 'Q4_0' | 'Q8_0';
    experimentalKvCacheValueType?: 'F16' | 'F32' | 'Q4_0' | 'Q8_0';
  }): Promise<LlamaContext>;
}

export interface Llama {
  readonly llamaCppRelease: { repo: string; release: string };
  readonly buildType: string;
  readonly systemInfo: string;
  loadModel(options: { modelPath: string; gpuLayers: number; vocabOnly?: boolean }): Promise<LlamaModel>;
  dispose(): Promise<void>;
}

export const LlamaLogLevel: { readonly error: 'error' };

export function getLlama(options: {
  gpu: false;
  build: 'never';
  skipDownload: boolean;
  progressLogs: boolean;
  logLevel: 'error';
}): Promise<Llama>;
