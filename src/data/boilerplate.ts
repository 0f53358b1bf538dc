/** What a writing model says around a text, and answers that are none. Each takes any string and is idempotent. */

/** Paragraphs before the text: the model takes up the order. At most this many characters. */
const PARAGRAPH_LIMIT = 400;

const leading = [
  /^(sure|certainly|of course|absolutely|okay|ok|great|got it)\b[^\n]{0,160}[:!.]$/i,
  /^here(['’]s| is| are)\b[^\n"“]{0,40}\b(list|stor(y|ies)|tale|scene|poem|song|lyrics|chapter|script|response|answer|description|summary|version|example|attempt|rewrite|text)\b[^\n]{0,160}:$/i,
  /^(however, |unfortunately, )?(I('m| am) afraid |I (must|need to|have to|should) (inform|note|clarify|mention|point out|admit|tell)|I (couldn['’]t|could not|can['’]t|cannot) find )[^\n]{0,400}$/i,
];

const trailing = [
  /^[([*_ ]*((side|author['’]s|editor['’]s|please) )?note\b( that\b|[*_]*\s*[:,–—-])/i,
  /^[([*_ ]*(P\.?S\.?[:,]? )?(I )?(really )?hope (you|this|that|these|it)\b.{0,60}\b(enjoy|enjoyed|enjoying|like|liked|help|helps|helped|useful|meets?|gives?|captures?|fits?|works?|inspires?|find|found)\b/i,
  /^[([*_ ]*(would you like|do you want|shall I|should I|(please )?(let me know|feel free)|if you('d| would) like|if you (have|need|want|are|['’]re)\b[^\n]*let me know|I('d| would) be (happy|glad) to|is there (something|anything) else|I can (also )?(write|create|provide|help))\b/i,
  /^[([*_ ]*(word count|total words|approximately \d+ words)\b/i,
];

/** Removes the sentence that hands the text over (`Here's the story:`) and notes, offers and hopes after it. */
export function removeModelNotes(text: string): string {
  const paragraphs = text.split(/\n{2,}/);
  while (paragraphs.length > 1 && isOneOf(leading, paragraphs[0])) paragraphs.shift();
  while (paragraphs.length > 1 && isOneOf(trailing, paragraphs.at(-1)!)) paragraphs.pop();
  // A rule of dashes parted the note from the text.
  while (paragraphs.length > 1 && /^([-*_=] ?){3,}$/.test(paragraphs.at(-1)!.trim())) paragraphs.pop();
  const rest = paragraphs.join('\n\n');
  return rest.length === text.length ? text : removeModelNotes(rest);
}

function isOneOf(patterns: readonly RegExp[], paragraph: string): boolean {
  const trimmed = paragraph.trim();
  return trimmed.length <= PARAGRAPH_LIMIT && patterns.some((pattern) => pattern.test(trimmed));
}

const unable =
  "(can['’]?not|can['’]t|could not|couldn['’]t|am unable to|['’]m unable to|am not able to|['’]m not able to|won['’]t|will not)";
const refusal = new RegExp(
  `^(I['’]?m sorry,? |I am sorry,? |I apologi[sz]e,? |Sorry,? |Unfortunately,? )?(but )?(I ?${unable} ((really|actually|directly) )?` +
    '(do (that|this)|fulfil|comply|engage in|assist|help (you )?with|continue (this|with)|discuss|' +
    '(create|write|generate|produce|provide|compose|tell|give|complete) (you )?(an?|any|the|content|explicit|that|this|stories|information|something)\\b)' +
    "|As an AI\\b|I['’]?m (just )?an AI\\b|I am (just )?an AI\\b)",
  'i',
);
const REFUSAL_LIMIT = 1200;

/** Whether a short answer is the model's refusal to give one. */
export function isRefusal(text: string): boolean {
  return text.length <= REFUSAL_LIMIT && refusal.test(text.trimStart());
}

/** Takes out special tokens that stand inside a text, where they would end or begin it. */
export function removeSpecialTokens(text: string): string {
  for (let before = ''; before !== text; ) {
    before = text;
    text = text.replace(/<\/?s>|<start>|<end>|<\|(endoftext|im_start|im_end|begin_of_text|eot_id)\|>/g, '');
  }
  return text;
}
