/** What `prepare-images` is told. */
export interface PrepareImagesOptions {
  sources: string[];
  out: string;
  /** Pixels a side. */
  size: number;
  /** The colour behind transparent images, six hexadecimal digits. */
  background: string;
  /** An image whose shorter side has fewer pixels is dropped. */
  minSide: number;
  vocabSize: number;
  /** A tokenizer.json or its folder, to take instead of learning one: that of a model that is to learn more. */
  tokenizer?: string;
  contextLength: number;
  /** Share of images held out. */
  validation: number;
  /** `FIELD=VALUE`: only rows with it are held out. */
  holdOut?: string;
  /** In how many other colours an image of one colour is seen too. */
  recolour: number;
  /** `FIELD=VALUE`: rows with it keep their colours. */
  keepColours: string[];
  seed: number;
  force?: boolean;
  signal?: AbortSignal;
  onProgress?: (done: number) => void;
}
