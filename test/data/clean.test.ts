import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRefusal, removeModelNotes } from '../../src/data/boilerplate.ts';
import { clean, repair, repairs } from '../../src/data/clean.ts';
import { isLanguage } from '../../src/data/language.ts';
import { measure } from '../../src/data/measures.ts';
import { replacePersonalData } from '../../src/data/personal-data.ts';
import { kinds } from '../../src/data/quality.ts';
import { story } from './helpers.ts';

/** Any string of UTF-16 units, with what the rules look for strewn in. */
const hostile = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
      fc.constantFrom(
        'donâ€™t',
        'donÃ¢â‚¬â„¢t',
        'Ã',
        'â',
        'ðŸ˜€',
        '\u200b',
        '\u0301',
        'e',
        '\u200d',
        '👩‍👩‍👧',
        '🏴󠁧󠁢󠁳󠁣󠁴󠁿',
        '\ufeff',
        '\r',
        '\n\n',
        '\u2028',
        ' \n',
        '<s>',
        '<st',
        'art>',
        '<end>',
        'Note: x',
        'I hope you enjoyed it',
        "Here's the story:",
        '---',
        'I cannot write',
        '4111 1111 1111 1111',
        'a@b.co',
        '\ufffd',
      ),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''));

describe('repairs', () => {
  test('never throw, settle at once, and leave well-formed text in NFC', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const once = repair(text).text;
        expect(repair(once)).toEqual({ text: once, changed: [] });
        expect(once.isWellFormed()).toBe(true);
        expect(once.normalize('NFC')).toBe(once);
        expect(once).not.toMatch(/[^\P{Cc}\n\t]|[\u200b\ufeff]|<s>|<start>|<end>/u);
      }),
      { numRuns: 1000 },
    );
  });

  test.each(repairs.map((rule) => [rule.name, rule] as const))('%s: twice is once', (_, { apply }) => {
    fc.assert(fc.property(hostile, (text) => apply(apply(text)) === apply(text)));
  });

  test.each([
    ['donâ€™t â€œstopâ€\u009d nowâ€¦', 'don’t “stop” now…'],
    ['donÃ¢â‚¬â„¢t', 'don’t'],
    ['cafÃ© ðŸ˜€', 'café 😀'],
    ['« CAFÉ» and Â at the end', '« CAFÉ» and Â at the end'],
    ['e\u200b\u0301', 'é'],
    ['one\u2028two\fthree\r\nfour', 'one\ntwo\nthree\nfour'],
    ['a\ud800b', 'a\ufffdb'],
    ['👩‍👩‍👧 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿', '👩‍👩‍👧 and 🏴󠁧󠁢󠁳󠁣󠁴󠁿'],
    ['in\u00advis\u200dible', 'invisible'],
    ['it cost <s>five</s> two<end> coins', 'it cost five two coins'],
    ['**bold** “quotes” — and ‘these’\n\n\n\n# Title', '**bold** “quotes” — and ‘these’\n\n# Title'],
  ])('%j becomes %j', (text, expected) => {
    expect(repair(text).text).toBe(expected);
  });
});

describe('model notes', () => {
  const body = 'Once upon a time there was a lamp.\n\nIt burnt at the edge. The end.';
  test.each([
    [`Here's the story:\n\n${body}`],
    [`Sure, here is a short story about a lamp:\n\n${body}`],
    [`${body}\n\n(Note: You can adjust the melody to your taste!)`],
    [`${body}\n\n**Note:** This is purely fictional.`],
    [`${body}\n\n---\n\nI hope you enjoyed this short story!`],
    [`${body}\n\nWould you like me to continue?\n\nLet me know!`],
  ])('%j is left with the story', (text) => {
    expect(removeModelNotes(text)).toBe(body);
  });

  test.each([
    [`${body}\n\n"I hope you enjoyed the soup," she said.`],
    [`${body}\n\nI hope this letter is on its way.`],
    [`Here was the lamp:\n\n${body}`],
    ['Note: this is all there is.'],
  ])('%j is left alone', (text) => {
    expect(removeModelNotes(text)).toBe(text);
  });

  test.each([
    'I cannot write a story about that.',
    "I'm sorry, but I can’t help with that.",
    "I couldn't create content that involves revenge.",
    'I can’t do that. I can, however, tell you a tale.',
  ])('%j is a refusal', (text) => {
    expect(isRefusal(text)).toBe(true);
  });
  test.each([
    "I couldn't help but smile as the boat came in.",
    'I cannot write, said the boy, but I can sing.',
    "I can't remember the day we met.",
    `I cannot write a word, I thought. ${story(1, 30)}`,
  ])('%j is none', (text) => {
    expect(isRefusal(text)).toBe(false);
  });
});

describe('personal data', () => {
  test.each([
    ['write to jo.doe+x@mail.co.uk today', 'write to email@example.com today'],
    [
      'call +49 30 901820 or (415) 555-2671 or 415-555-2671',
      'call (555) 555-0100 or (555) 555-0100 or (555) 555-0100',
    ],
    [
      'card 4111 1111 1111 1111, not 4111 1111 1111 1112',
      'card 0000 0000 0000 0000, not 4111 1111 1111 1112',
    ],
    ['pay DE89 3704 0044 0532 0130 00 soon', 'pay GB00 WICK 0000 0000 0000 00 soon'],
    ['SSN 078-05-1120', 'SSN 000-00-0000'],
    ['in room 12 415-555-2671, or ring 5557 1234', 'in room 12 (555) 555-0100, or ring (555) 555-0100'],
    ['from 2a00:1450::200e', 'from 192.0.2.1'],
    ['from 93.184.216.34 and 2a00:1450:4001:800:0:0:0:200e', 'from 192.0.2.1 and 192.0.2.1'],
  ])('%j becomes %j, and stays', (text, expected) => {
    const counts: Record<string, number> = {};
    expect(replacePersonalData(text, counts)).toBe(expected);
    expect(Object.values(counts).reduce((a, b) => a + b)).toBeGreaterThan(0);
    expect(replacePersonalData(expected, counts)).toBe(expected);
  });

  test.each([
    'in 1999-2004 he sold 12,345,678 hats',
    'version 10.0.0.1 at 127.0.0.1',
    '555-0123',
    'call 555-0123 or 10.0.0.1, 192.168.0.1, fe80::1:2:3 or 2001:db8::1:2',
    'at 10:30:15',
    'No. 1234567890123',
    '3.1415926535897932',
    'DE00 3704 0044 0532 0130 00',
    'ask @wick',
  ])('%j is left alone', (text) => {
    expect(replacePersonalData(text)).toBe(text);
  });

  test('any string goes in, and what comes out holds nothing more to replace', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const once = replacePersonalData(text);
        expect(replacePersonalData(once)).toBe(once);
      }),
    );
  });
});

describe('what is kept', () => {
  const options = { language: 'en', kind: 'prose' } as const;
  const reason = (text: string, instruction?: string, over: object = {}) => {
    const cleaned = clean({ text, instruction }, { ...options, ...over });
    return cleaned.kept ? 'kept' : cleaned.reason;
  };

  test.each([
    ['a story', story(1)],
    [
      'dialogue',
      '"Who is there?" asked Tom.\n\n"Me," said the fox.\n\n"And who is me?"\n\n"The one who has the key," said the fox, and laughed.\n\nTom opened the door of the house a little.',
    ],
    [
      'a song with its chorus',
      `${'**Verse 1**\nI packed my bag and left the town\nTo walk along the river down\n\n**Chorus**\nOh the lamp is burning low\nAnd the wind is all I know\nOh the lamp is burning low\nAnd the wind is all I know\n\n'.repeat(2)}**Bridge**\nSo sing with me until the day\nHas washed the colours all away`,
    ],
    [
      'a poem without full stops',
      'In quiet streets where morning breaks\nA baker stirs, the village wakes\nThe ovens glow, the flour flies\nAnd bread is born before our eyes\nA smell that walks from door to door\nAnd calls the sleeper to the floor',
    ],
    [
      'a picture book',
      '# Clouds\n\nClouds can bring rain. I like clouds.\n\nClouds can bring snow. I like clouds.\n\nClouds can hide the sun. I like clouds.',
    ],
  ])('%s', (_, text) => {
    expect(reason(text)).toBe('kept');
  });
  test('a short answer, but no short text', () => {
    expect(reason('Paris.', 'What is the capital of France?')).toBe('kept');
    expect(reason('Paris is nice.')).toBe('too few words');
  });
  test.each([
    ['empty', ' \u200b\n'],
    ['unreadable', `${story(1)}${'\ud800'.repeat(9)}`],
    [
      'refusal',
      'I cannot create content that could be harmful to anyone, and so I will not, as it would not be right to do it here.',
    ],
    ['one sequence of 2 words', 'buy now '.repeat(200)],
    [
      'words without letters',
      '1912 3409 5678 7890 the 9021 1234 and 5678 2345 1789 to 1066 1984 of 2001 1357 2468 a 3579 4680 5791',
    ],
    [
      'word length',
      'donaudampfschifffahrtsgesellschaft '.repeat(3).concat('rindfleischetikettierung '.repeat(20)),
    ],
    ['symbols', `${'#the #dog #is #in #the #house '.repeat(5)}`],
    [
      'lines without end',
      story(1, 40)
        .replace(/[.,\n]/g, '')
        .match(/(?:\S+ ?){20}/g)!
        .join('\n'),
    ],
    [
      'other language',
      'Der alte Mann ging durch den Wald und suchte nach seinem Hund. Am Abend fand er ihn unter einer großen Eiche, to be and of the.',
    ],
  ])('%s falls by its rule', (expected, text) => {
    expect(reason(text)).toBe(expected);
  });
  test('an answer that stops inside a sentence', () => {
    expect(
      reason(
        `${story(1)} And then, when nobody was looking any more, the old man with the lamp went down to the`,
        'Tell a story.',
      ),
    ).toBe('cut off');
  });
  test('another language, where it is wanted', () => {
    const german =
      'Der alte Mann ging langsam durch den dunklen Wald und suchte nach seinem Hund, der seit drei Tagen verschwunden war. Am Abend fand er ihn endlich unter einer großen Eiche.';
    expect(reason(german, undefined, { language: 'de' })).toBe('kept');
    expect(reason(german, undefined, { language: 'any' })).toBe('kept');
    expect(reason(story(1), undefined, { language: 'de' })).toBe('other language');
    expect(isLanguage(german, 'en', measure(german).lowerWords)).toBe(false);
  });
  test.each([
    [
      'de',
      'Als er am nächsten Morgen aufwachte, war das Haus leer und in der Küche stand nur noch eine Tasse, die niemand ausgetrunken hatte.',
    ],
    [
      'nl',
      'Toen hij de volgende ochtend wakker werd, was het huis leeg en in de keuken stond alleen nog een kopje dat niemand had leeggedronken.',
    ],
    [
      'fr',
      "Quand il se réveilla le lendemain matin, la maison était vide et dans la cuisine il ne restait qu'une tasse que personne n'avait finie.",
    ],
    [
      'es',
      'Cuando se despertó a la mañana siguiente, la casa estaba vacía y en la cocina solo quedaba una taza que nadie había terminado.',
    ],
    [
      'sv',
      'När han vaknade nästa morgon var huset tomt och i köket stod bara en kopp som ingen hade druckit ur.',
    ],
    [
      'ru',
      'Когда он проснулся на следующее утро, дом был пуст, и на кухне стояла только чашка, которую никто не допил.',
    ],
    ['zh', '第二天早上他醒来时，房子空了，厨房里只剩下一只没人喝完的杯子。'],
  ])('%s is told from English', (code, text) => {
    const { lowerWords } = measure(text);
    expect([isLanguage(text, code, lowerWords), isLanguage(text, 'en', lowerWords)]).toEqual([true, false]);
  });
  test.each([
    'Marilyn was the name of Brian Hugh Warner.',
    'Title: The Silent Grove | Author: Sylvia Nightshade | Year: 1961',
    '12 34',
    '',
  ])('%j is not taken for another language', (text) => {
    expect(isLanguage(text, 'en', measure(text).lowerWords)).toBe(true);
  });
  test('English with foreign names stays', () => {
    expect(
      reason(
        'Zoe and Jaxson made a crème brûlée soufflé with Agnieszka in Kraków, and Zoe said that Jaxson was the best cook in all of Kraków, which made Agnieszka laugh.',
      ),
    ).toBe('kept');
  });
  test('code by the rules of code', () => {
    const code = 'def add(a, b):\n    # Note: no check\n    return a + b\n\n\nprint(add(1, 2))\n';
    expect(reason(code, undefined, { kind: 'code' })).toBe('kept');
    expect(reason(`data = [${'1, '.repeat(600)}]`, undefined, { kind: 'code' })).toMatch(/code/);
  });
  test('never throws, whatever comes', () => {
    fc.assert(
      fc.property(
        hostile,
        fc.option(hostile, { nil: undefined }),
        fc.constantFrom(...kinds),
        (text, instruction, kind) => {
          const cleaned = clean({ text, instruction }, { language: 'en', kind });
          if (cleaned.kept) expect(cleaned.text.isWellFormed() && cleaned.text !== '').toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });
});
