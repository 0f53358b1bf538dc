/** Which size a model draws for the size that is wanted. */
import type { Size } from './image-decode.ts';
import type { ImageModelInfo } from './image-messages.ts';

const LARGEST_SIDE = 2048;

/**
 * The size to draw: the model's own where it is fixed; else of the wanted shape and about as many pixels as the
 * model's own size has, for models draw other amounts badly.
 */
export function sizeToDraw(model: Omit<ImageModelInfo, 'defaults'>, wanted: Size): Size {
  if (model.fixed) return { width: model.width, height: model.height };
  const pixels = model.width * model.height;
  const shape = wanted.width / wanted.height;
  const side = (length: number) => {
    const steps = Math.round(Math.min(length, LARGEST_SIDE) / model.multiple);
    return Math.max(1, Math.min(steps, Math.floor(LARGEST_SIDE / model.multiple))) * model.multiple;
  };
  return { width: side(Math.sqrt(pixels * shape)), height: side(Math.sqrt(pixels / shape)) };
}

/** The size of the file: what is wanted; where a side is left open, in the shape of what is drawn. */
export function sizeToSend(drawn: Size, { width, height }: Partial<Size>): Size {
  const side = (length: number) => Math.min(LARGEST_SIDE, Math.max(1, Math.round(length)));
  return {
    width: width ?? side(height === undefined ? drawn.width : (height * drawn.width) / drawn.height),
    height: height ?? side(width === undefined ? drawn.height : (width * drawn.height) / drawn.width),
  };
}
