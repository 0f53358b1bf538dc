/** A model that draws, on this machine or behind an address: who asks it does not see which. */
import type { ImageFormat } from '../api/draw.ts';
import type { Size } from '../service/image-decode.ts';
import type { Device } from './device.ts';

/** What all images of a command have in common. */
export interface DrawingOptions {
  model?: string;
  steps?: number;
  size?: Size;
  guidance?: number;
  negative?: string;
  scheduler?: string;
  /** Files to begin from: an image, and where it is drawn anew. */
  image?: string;
  mask?: string;
  strength?: number;
  /** Percent, of webp, jpeg and avif. */
  quality?: number;
  device: Device;
  threads: number;
  variant: string;
}

/** `sheet`: whether the images are for a sheet, where they stay as small as they were drawn. */
export type DrawingWish = DrawingOptions & { format: ImageFormat; sheet?: string };

/** An image's file, and how it was drawn as far as that is known. */
export interface Drawing extends Size {
  file: Buffer;
  seed?: number;
  steps?: number;
  /** Whether the model's safety checker objects. */
  flagged?: boolean;
}

export interface Artist {
  /** The model's name, as soon as it is known. */
  id(): string | undefined;
  /**
   * Draws one image. A server chooses a seed where there is none.
   * @param progress is told of each step that is taken, where one can know
   * @throws the signal's reason when it aborts
   */
  draw(
    task: { prompt: string; seed?: number },
    progress: (step: number, steps: number) => void,
    signal: AbortSignal,
  ): Promise<Drawing>;
  release(): Promise<void>;
}

/** The folder that draws where neither a model nor a server is named. */
export const usualFolder = 'models/wick-draw';

/** Seeds are whole numbers below this. */
export const SEEDS = 2 ** 32;

export const randomSeed = (): number => Math.floor(Math.random() * SEEDS);
