/** How hard a text is to read. */

/**
 * The Automated Readability Index (Smith and Senter, 1967): the school year in the United States, from 1 on, at which a
 * text is understood, by the length of its words and sentences. It is made for English. 0 for a text without words.
 */
export function readingLevel(text: string): number {
  let [letters, words, sentences] = [0, 0, 0];
  for (const { segment } of new Intl.Segmenter('en', { granularity: 'sentence' }).segment(text)) {
    const found = segment.match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu) ?? [];
    if (found.length === 0) continue;
    sentences++;
    words += found.length;
    for (const word of found) letters += word.length;
  }
  if (words === 0) return 0;
  const index = 4.71 * (letters / words) + 0.5 * (words / sentences) - 21.43;
  return Math.max(1, Math.round(index * 10) / 10);
}
