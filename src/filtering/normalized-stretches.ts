/** A long text read by rules that look at a bounded part of it: stretch by stretch, as its normalised copy says it. */
import { createNormalizedText } from './normalize.ts';

/** Units of a text that are looked at together, and how far the next stretch reaches back. */
const STRETCH = 16_384;
const OVERLAP = 1024;

/** The normalised copies of a text's stretches; whatever is no longer than the overlap stands whole in one of them. */
export function* normalizedStretches(text: string): Generator<string> {
  for (let at = 0; at < text.length; at += STRETCH - OVERLAP) {
    const copy = createNormalizedText();
    copy.push(text.slice(at, at + STRETCH), true);
    yield copy.text;
  }
}
