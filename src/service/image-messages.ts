/** What the service's main thread and an image model's worker thread say to each other. */
import type { DrawEvent, ImageFormat } from '../api/draw.ts';
import type { DrawOptions, ImageModel } from '../generation/image/pipeline.ts';
import type { Credentials } from './image-credentials.ts';
import type { ImageLoadOptions } from './image-folder.ts';

export interface ImageWorkerStart extends ImageLoadOptions {
  folder: string;
  /** Whose signature finished files get. */
  credentials?: Credentials;
}

/** What is known of a model before it draws. */
export type ImageModelInfo = Pick<ImageModel, 'width' | 'height' | 'multiple' | 'fixed' | 'defaults'>;

/** One image to draw and encode. */
export interface Drawing {
  /** Which of the request's images. */
  index: number;
  options: DrawOptions;
  format: ImageFormat;
  quality?: number;
  /** Pixels of the file. */
  width: number;
  height: number;
}

export type ToImageWorker =
  | { type: 'draw'; id: number; drawing: Drawing }
  | { type: 'cancel'; id: number }
  | { type: 'close' };

/** Of a drawing: progress and previews, and as the last an image, an error or `cancelled`. */
export type FromImageWorker =
  | { type: 'ready'; model: ImageModelInfo }
  | { type: 'failed'; message: string }
  | {
      type: 'event';
      id: number;
      event: Extract<DrawEvent, { type: 'progress' | 'partial' | 'image' | 'withheld' | 'error' }>;
    }
  | { type: 'cancelled'; id: number };
